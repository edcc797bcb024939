import type { Connections } from '../connections.ts'
import { DatabaseQueryError } from '../errors.ts'
import type { Call, WritingStatement } from '../run-statement.ts'
import { executeAlone, groupStatements } from './group-statements.ts'
import type { GivenRows } from './settle-group.ts'

/**
 * How long a statement may wait for its turn, milliseconds, of the time that it has: half of it, or what leaves it half as
 * much again as it took up to now.
 */
export const patienceMs = (timeoutMs: number, tookMs: number): number =>
  Math.floor(Math.min(timeoutMs / 2, timeoutMs - 2.5 * tookMs))

/**
 * Runs statements that may write, together where they can be, each within so many milliseconds. One that gives much beside
 * another is rolled back, and waits here for its turn, as long as it has the time, and then runs alone.
 *
 * @throws DatabaseQueryError `memory_taken` when its turn has not come by then.
 */
export const executeInTurn = (connections: Connections) => {
  const execute = groupStatements(connections)
  return async (statement: WritingStatement, call: Call, timeoutMs: number): Promise<GivenRows> => {
    const startedMs = performance.now()
    const outcome = await execute(statement, call)
    if (outcome.kind === 'applied') return outcome
    const { error } = outcome
    if (!(error instanceof DatabaseQueryError && error.code === 'memory_taken')) throw error
    const waitMs = patienceMs(timeoutMs, performance.now() - startedMs)
    if (waitMs <= 0) throw error
    const patience = AbortSignal.any([call.signal, AbortSignal.timeout(waitMs)])
    const turn = await connections.results.turn(patience)
    if (turn === null) {
      call.signal.throwIfAborted()
      throw error
    }
    try {
      const results = { ...connections.results, open: turn.open }
      const alone = await executeAlone({ ...connections, results }, statement, call)
      if (alone.kind === 'applied') return { rows: alone.rows, letGo: turn.end }
      throw alone.error
    } catch (refused) {
      turn.end()
      throw refused
    }
  }
}
