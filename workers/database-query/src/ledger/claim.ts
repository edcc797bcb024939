import { bytesBesideText, isTransient } from '@esteira/workflow'
import { DatabaseError, type PoolClient, type QueryResult } from 'pg'
import * as z from 'zod'
import { DatabaseQueryError } from '../errors.ts'
import { bytesOfRow, type ResultShare } from '../result-memory.ts'

/** What a statement runs for once: a job, and how often somebody has sent that again by hand. */
export type Entry = { jobId: string; revision: number }

/** Tells entries apart. */
export const entryKey = ({ jobId, revision }: Entry): string => `${jobId} ${revision}`

/** The entries of a group whose statement was applied before, by their keys, each with the rows that were kept of it. */
export type Applied = ReadonlyMap<string, unknown[] | null>

/**
 * Puts the entries of a group into the ledger, in the transaction of their statements; gives those that are there. A second
 * delivery of a job waits here until the first has committed or given up. In the order of their ids, so that two groups
 * that share jobs do not wait for each other.
 *
 * @throws DatabaseQueryError `memory_taken` where there is no room now for the rows that were kept.
 */
export const claimInLedger = async (
  client: PoolClient,
  ledger: string,
  entries: readonly Entry[],
  memory: Pick<ResultShare, 'makeRoom'>,
): Promise<Applied> => {
  const inserted = await onLedger(
    client,
    `insert into ${ledger} (job_id, revision)
     select id, revision from unnest($1::uuid[], $2::int[]) as entry(id, revision) order by id, revision
     on conflict (job_id, revision) do nothing`,
    arraysOf(entries),
  )
  // As a rule none was there before, so nobody pays for being told which: those that this transaction has not written.
  if (inserted.rowCount === entries.length) return new Map()
  const before = arraysOf(entries)
  const kept = `from ${ledger} where (job_id, revision) in (select * from unnest($1::uuid[], $2::int[]))
    and xmin <> pg_current_xact_id()::xid`
  // All jobs that a lost worker had in hand come at once.
  const sizes = await onLedger(client, `${sizesSql} from (select rows, rows::text as text ${kept} offset 0) kept`, [
    ...before,
    bytesOfRow,
    bytesBesideText,
  ])
  memory.makeRoom(sizeRows.parse(sizes.rows)[0].bytes)
  const { rows } = await onLedger(client, `select job_id as "jobId", revision, rows ${kept}`, before)
  return new Map(appliedRows.parse(rows).map((row) => [entryKey(row), row.rows]))
}

/** What rows take in memory, reckoned as when they were given first; without the offset each use would make the text anew. */
const sizesSql = `
  select coalesce(sum(
    case when octet_length(text) = length(text) then length(text)
         else greatest(octet_length(text), 2 * length(text)) end
      + $3::float8 * coalesce(jsonb_array_length(rows), 0)
      + $4::float8 * (length(text) - length(replace(text, ',', '')))
  ), 0)::float8 as bytes`

/** Keeps what statements gave, by their entries, so that a job that comes again passes the same on. */
export const keepRows = async (
  client: PoolClient,
  ledger: string,
  given: readonly (Entry & { rows: readonly unknown[] })[],
): Promise<void> => {
  await onLedger(
    client,
    `update ${ledger} applied set rows = given.rows
     from jsonb_to_recordset($1::jsonb) as given("jobId" uuid, revision int, rows jsonb)
     where applied.job_id = given."jobId" and applied.revision = given.revision`,
    [JSON.stringify(given.map(({ jobId, revision, rows }) => ({ jobId, revision, rows })))],
  )
}

/** A statement on the ledger; what the server has against it is not the fault of the step's SQL. */
const onLedger = async (client: PoolClient, sql: string, values: readonly unknown[]): Promise<QueryResult> => {
  try {
    return await client.query(sql, [...values])
  } catch (cause) {
    if (!(cause instanceof DatabaseError) || isTransient(cause)) throw cause
    if (noText.test(cause.code ?? '')) {
      throw new DatabaseQueryError(
        'result_refused',
        'config.sql gives JSON with a character U+0000, or with half of a surrogate pair, which nobody can store; ' +
          'nothing is written',
        { cause },
      )
    }
    throw new DatabaseQueryError(
      'ledger_refused',
      `the ledger esteira_applied of config.connection cannot be used: ${cause.message} (SQLSTATE ${cause.code}); ` +
        'expected a table that its user may select from, insert into and update',
      { cause },
    )
  }
}

/** Whether an error says that the ledger is not where it was found. */
export const isLedgerGone = (error: unknown): boolean =>
  error instanceof DatabaseQueryError &&
  error.code === 'ledger_refused' &&
  error.cause instanceof DatabaseError &&
  isGone.test(error.cause.code ?? '')

/** No such table, or no such schema. */
const isGone = /^(42P01|3F000)$/

/**
 * The SQLSTATEs of JSON that has an escape for what Postgres has no text for: U+0000, and half of a pair. What else is
 * given here is written by this worker.
 */
const noText = /^22P0[52]$/

/** As texts: the driver would look into each id for what has to be quoted. */
const arraysOf = (entries: readonly Entry[]): string[] => [
  `{${entries.map(({ jobId }) => jobId).join(',')}}`,
  `{${entries.map(({ revision }) => revision).join(',')}}`,
]

const entrySchema = z.object({ jobId: z.string(), revision: z.int() })
const sizeRows = z.tuple([z.object({ bytes: z.number() })])
const appliedRows = z.array(entrySchema.extend({ rows: z.array(z.unknown()).nullable() }))
