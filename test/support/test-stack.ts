import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describeExit } from '@esteira/dev/processes'
import { StackError, startStack, type Stack, type StackEvent, type StackOptions } from '@esteira/dev/stack'
import { migrate } from '@esteira/migrations/migrate'
import { escapeIdentifier } from 'pg'
import { z } from 'zod'
import { clonePrefix } from './databases.ts'
import { drainTables } from './drained-tables.ts'
import { managementApi } from './management-api.ts'
import { runOn } from './run-on.ts'
import { makeTemplate } from './template-database.ts'
import { vhostPrefix } from './vhosts.ts'

/** The services of a test run, and the migrated database that tests copy. */
export type TestStack = { stack: Stack; template: string }

const root = new URL('../../', import.meta.url)

/**
 * Starts the services that tests use, with a data folder of their own, so that `npm start` can run beside them. What an
 * earlier run left in it is thrown away, but not the cluster and the node: making them anew takes longer.
 */
export const startTestStack = async (env: NodeJS.ProcessEnv): Promise<TestStack> => {
  const { dataDir, remove } = dataFolderFor(env)
  const started = await startAnew({
    dataDir,
    env,
    databaseUrl: env['DATABASE_URL'],
    rabbitmqUrl: env['RABBITMQ_URL'],
    rabbitmqManagementUrl: env['RABBITMQ_MANAGEMENT_URL'],
    // Tests throw their data away. A killed server loses nothing by this, only a machine that falls does.
    postgresSettings: ['fsync=off', 'full_page_writes=off'],
    observe: tell,
  })
  const stop = () => started.stop().then(remove)
  const stack = { ...started, stop }
  try {
    const [template] = await Promise.all([
      dropOldDatabases(stack).then(() => makeTemplate(stack.postgres.url, making, migrateAndDrain)),
      dropOldVhosts(stack),
    ])
    return { stack, template }
  } catch (error) {
    await stack.stop()
    throw error
  }
}

/** One run at a time has the folder of the tree. Of servers that are given it keeps nothing, so that any number may use them. */
const dataFolderFor = (env: NodeJS.ProcessEnv): { dataDir: string; remove: () => void } => {
  if (env['DATABASE_URL'] === undefined || env['RABBITMQ_URL'] === undefined)
    return { dataDir: fileURLToPath(new URL('.esteira/test', root)), remove: () => undefined }
  const dataDir = mkdtempSync(join(tmpdir(), 'esteira-test-'))
  return { dataDir, remove: () => rmSync(dataDir, { recursive: true }) }
}

const making = {
  migrations: ['lib/outbox/migrations/', 'migrations/'].map((folder) => new URL(folder, root)),
  after: drainTables.join('\n'),
}

const migrateAndDrain = async (databaseUrl: string): Promise<void> => {
  await migrate(databaseUrl)
  await runOn(databaseUrl, ...drainTables)
}

/** A machine that fell may have left a cluster that cannot start again; it is only test data. */
const startAnew = async (options: StackOptions): Promise<Stack> => {
  try {
    return await startStack(options)
  } catch (error) {
    if (!(error instanceof StackError && error.code === 'service_failed')) throw error
    process.stderr.write(`${error.message}\nbeginning with empty data\n`)
    return startStack({ ...options, fresh: true })
  }
}

const tell = (event: StackEvent): void => {
  if (event.kind === 'package.installing') process.stderr.write(`installing what is missing: ${event.command}\n`)
  if (event.kind === 'service.exited') process.stderr.write(`${event.part} ${describeExit(event.exit)}\n`)
  if (event.kind === 'service.unreachable') process.stderr.write(`${event.address}: ${event.reason}\n`)
}

/** On a server that was given another run may be at work, so only our own is swept. */
const dropOldDatabases = async ({ postgres }: Stack): Promise<void> => {
  if (postgres.source === 'given') return
  const named = async (sql: string): Promise<string[]> =>
    z
      .array(z.object({ name: z.string() }))
      .parse(await runOn(postgres.url, sql))
      .map(({ name }) => escapeIdentifier(name))
  const databases = await named(`select datname as name from pg_database where datname like '${clonePrefix}%'`)
  // After their databases, which have their grants.
  const roles = await named(`select rolname as name from pg_roles where rolname like '${clonePrefix}%'`)
  await runOn(
    postgres.url,
    ...databases.map((name) => `drop database ${name} with (force)`),
    ...roles.map((name) => `drop role ${name}`),
  )
}

const dropOldVhosts = async ({ rabbitmq }: Stack): Promise<void> => {
  if (rabbitmq.source === 'given') return
  const api = managementApi(rabbitmq.managementUrl)
  const names = (await api.vhosts()).filter((name) => name.startsWith(vhostPrefix))
  for (const name of names) await api.delete(`vhosts/${name}`)
}
