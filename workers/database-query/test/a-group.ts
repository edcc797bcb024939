import { randomUUID } from 'node:crypto'
import { context } from '@opentelemetry/api'
import { createPace, type Pace } from '../src/groups/pace.ts'
import { settleGroup } from '../src/groups/settle-group.ts'
import { entryKey } from '../src/ledger/claim.ts'
import type { Call, WritingStatement } from '../src/run-statement.ts'
import { connections } from './use-target.ts'

/** A job's run of a statement. */
export const aCall = (
  values: unknown[],
  { jobId = randomUUID(), revision = 0, ...rest }: Partial<Omit<Call, 'key'>> = {},
): Call => ({
  jobId,
  revision,
  key: entryKey({ jobId, revision }),
  values,
  signal: new AbortController().signal,
  place: context.active(),
  checkResult: () => {},
  ...rest,
})

type Rest = Partial<Pick<WritingStatement, 'connection' | 'rows' | 'maxRows' | 'limit' | 'once'>> & {
  pace?: Pace
  limitMs?: number
}

/** Settles a group of one statement, on `crm` unless said, and gives how each run ended: the rows, or the error. */
export const settle = async (
  sql: string,
  calls: readonly Call[],
  {
    connection = 'crm',
    rows = 'if any',
    maxRows = null,
    limit = rows === 'unwanted' ? null : { of: 'result', mostBytes: 1024 * 1024 },
    once = true,
    pace = createPace({ sessions: 10, mayMeet: true }),
    limitMs,
  }: Rest = {},
): Promise<unknown[]> => {
  const statement: WritingStatement = {
    connection,
    sql,
    rows,
    maxRows,
    limit,
    once,
    mayShare: true,
    mayMeet: true,
    durability: 'durable',
  }
  const outcomes = await settleGroup(connections, statement, calls, pace, limitMs)
  return outcomes.map((outcome) => (outcome.kind === 'applied' ? (outcome.rows ?? []) : outcome.error))
}
