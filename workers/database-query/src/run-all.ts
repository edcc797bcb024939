import { bytesInMemory } from '@esteira/workflow'
import type { PoolClient } from 'pg'
import { refuseTwice } from './columns.ts'
import { DatabaseQueryError } from './errors.ts'
import { refuseText, within } from './result-limit.ts'
import type { ResultShare } from './result-memory.ts'
import type { Call, Statement, WritingStatement } from './run-statement.ts'
import { type Ended, type Look, sendRuns } from './send-runs.ts'
import { openStatementSpan } from './statement-span.ts'
import { underStatement } from './under-statement.ts'

/**
 * What looks at the rows of a run, what has the server stop when that throws, and what hears of the first run that is
 * refused: the server looks at none after that.
 */
export type RunHooks = Pick<Parameters<typeof sendRuns>[3], 'lookOf' | 'stop'> & { onRefused: (call: Call) => void }

/** Runs the statement for each call, all sent before it returns; gives the rows of each. */
export const runAll = async (
  client: PoolClient,
  statement: WritingStatement,
  calls: readonly Call[],
  values: readonly unknown[][],
  { lookOf, stop, onRefused }: RunHooks,
): Promise<(unknown[] | null)[]> => {
  if (calls.length === 0) return []
  const given: (unknown[] | null)[] = []
  const refusals: unknown[] = []
  const ended = (at: number, how: Ended): void => {
    const [call, endSpan] = [calls[at], endSpans[at]]
    if (call === undefined || endSpan === undefined) return
    try {
      given.push(rowsOf(statement, call, how))
      if (how.kind === 'given') endSpan({ rows: how.given.count })
    } catch (error) {
      refusals.push(error)
      endSpan({ error })
      onRefused(call)
    }
  }
  const sent = sendRuns(client, statement.sql, values, { lookOf, stop, ended })
  const endSpans = calls.map(({ place }) => openStatementSpan(statement, place))
  await sent
  if (refusals.length === 0) return given
  return underStatement(Promise.reject(refusals[0]))
}

/**
 * The rows of a run, null where it can give none. What refuses them does so before the commit: a step that is put right
 * later finds nothing half done.
 */
const rowsOf = (statement: WritingStatement, call: Call, ended: Ended): unknown[] | null => {
  if (ended.kind === 'refused') throw ended.error
  const { rows, columns } = ended.given
  checkColumns(statement, columns)
  if (statement.rows !== 'unwanted') call.checkResult(rows)
  return columns.length > 0 ? rows : null
}

/** Refuses rows as they come, so that no more are in memory than may go on. Those that do not go on are not kept. */
export const looksAt = (statement: WritingStatement, memory: ResultShare): (() => Look) => {
  const count = (rows: number) => checkCount(statement, rows)
  const { limit } = statement
  if (limit === null) {
    const counted = { count, keep: null }
    return () => counted
  }
  const before = (bytes: number) => refuseText(limit, bytes)
  return () => {
    const fits = within(limit)
    const row = (given: Record<string, unknown>) => {
      const json = JSON.stringify(given)
      const bytes = Buffer.byteLength(json)
      fits(bytes)
      memory.keep(bytesInMemory(json, bytes))
    }
    return { count, keep: { before, row } }
  }
}

/** @throws DatabaseQueryError `too_many_rows` for more than the config allows. */
export const checkCount = ({ maxRows }: Statement, rows: number): void => {
  if (maxRows === null || rows <= maxRows) return
  throw new DatabaseQueryError(
    'too_many_rows',
    `config.sql gives more than the ${maxRows.toLocaleString('en-US')} rows of config.maxRows; nothing is written or passed on`,
  )
}

/** @throws DatabaseQueryError `config_invalid` where rows are to be passed on, and a statement gives none that could be. */
export const checkColumns = ({ rows }: Statement, columns: readonly string[]): void => {
  if (columns.length === 0 && rows === 'wanted') {
    throw new DatabaseQueryError(
      'config_invalid',
      'config.sql gives no rows that could be passed on: expected "returning" or a select, or outputType null',
    )
  }
  if (rows !== 'unwanted') refuseTwice(columns)
}
