import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { WorkflowError } from '../errors.ts'
import { databaseErrorOf } from './is-transient.ts'

/**
 * The newest migration of this version, by the name of its file. One transaction applies all that a database lacks, in
 * their order, so where this one is the others are too.
 */
export const neededMigration = '0022_database_id'

/**
 * Refuses a database that the control plane of this version has not migrated yet. In a rollout both are new at the same
 * moment: a worker that took over before would meet a column that is missing in each of its jobs.
 *
 * @throws WorkflowError `database_behind`, which passes with the migration.
 */
export const expectMigrated = async (em: EntityManager): Promise<void> => {
  const [level] = await readLevel(em)
  if (level.isThere) return
  throw behind(`the database is at migration ${level.newest ?? 'none'}, this version needs ${neededMigration}`)
}

const readLevel = async (em: EntityManager): Promise<z.output<typeof levelRows>> => {
  try {
    const { rows } = await queryable(em).query(levelSql, [neededMigration])
    return levelRows.parse(rows)
  } catch (cause) {
    if (databaseErrorOf(cause)?.code !== undefinedTable) throw cause
    throw behind('the database has no tables yet', cause)
  }
}

const behind = (words: string, cause?: unknown): WorkflowError =>
  new WorkflowError('database_behind', `${words}: a control plane of this version migrates it at its start`, {
    cause,
    final: false,
  })

const undefinedTable = '42P01'

const levelSql = `
  select exists (select from schema_migration where name = $1) as "isThere",
         (select max(name) from schema_migration) as newest`

const levelRows = z.tuple([z.object({ isThere: z.boolean(), newest: z.string().nullable() })])
