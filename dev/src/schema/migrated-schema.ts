import { join } from 'node:path'
import { migrate } from '@esteira/migrations/migrate'
import pg from 'pg'
import { ensureDatabase, startPostgresAlone } from '../stack/index.ts'
import { dumpSchema } from './dump.ts'

const repository = join(import.meta.dirname, '../../..')

/** Where the dump is kept. */
export const schemaFile = join(repository, 'migrations/schema.sql')

/** Migrates an empty database of its own and reads what came of it. */
export const migratedSchema = async (): Promise<string> => {
  const dataDir = join(repository, '.esteira/schema')
  // The empty environment: the schema must not depend on where it is read.
  const stack = await startPostgresAlone({ dataDir, env: {}, fresh: true })
  try {
    const url = await ensureDatabase(stack.postgres.url, 'schema')
    await migrate(url)
    const client = new pg.Client(url)
    await client.connect()
    try {
      return await dumpSchema(client)
    } finally {
      await client.end()
    }
  } finally {
    await stack.stop()
  }
}
