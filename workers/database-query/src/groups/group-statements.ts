import { gather } from '@esteira/workflow'
import type { Connections } from '../connections.ts'
import { entryKey } from '../ledger/claim.ts'
import type { Call, WritingStatement } from '../run-statement.ts'
import { createPace, type Pace } from './pace.ts'
import { type GivenRows, type Outcome, settleGroup } from './settle-group.ts'

/** Runs a statement that may write for a job, and resolves to the rows that it gave when it has committed. */
export type Execute = (statement: WritingStatement, call: Call) => Promise<GivenRows>

type Add = (call: Call) => Promise<Outcome>

/** Statements whose pace is remembered. */
const mostStatements = 1_000

/**
 * Puts jobs' runs of one statement into one transaction where they come faster than it commits. Those of another
 * statement, connection or durability are never in it.
 */
export const groupStatements = (connections: Connections): Execute => {
  const groups = new Map<string, Add>()
  /** Whose group has not begun. One that is cancelled is left out when that begins. */
  const waiting = new WeakSet<Call>()
  return async (statement, call) => {
    if (!statement.mayShare) return executeAlone(connections, statement, call)
    const { connection, sql, durability, once, rows, maxRows, limit } = statement
    const key = [connection, durability, once, rows, maxRows, limit?.of, limit?.mostBytes, sql].join('\n')
    const add = groups.get(key) ?? gatherCalls(connections, statement, waiting)
    groups.set(key, add)
    const [oldest] = groups.keys()
    if (groups.size > mostStatements && oldest !== undefined) groups.delete(oldest)
    waiting.add(call)
    return givenBy(await addUnlessAborted(add, call, waiting))
  }
}

const gatherCalls = (connections: Connections, statement: WritingStatement, waiting: WeakSet<Call>): Add => {
  const pace = createPace({ sessions: connections.atOnce(statement.connection), mayMeet: statement.mayMeet })
  const options = { most: pace.most, atOnce: pace.atOnce, keyOf: entryKey }
  return gather(options, (calls: Call[]) => {
    for (const call of calls) waiting.delete(call)
    return settleGroup(connections, statement, calls, pace)
  })
}

/** A run that is cancelled before its group begins is waited for no longer. */
const addUnlessAborted = (add: Add, call: Call, waiting: WeakSet<Call>): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const { signal } = call
    if (signal.aborted) return reject(signal.reason)
    // It stays on the job's signal, which nobody has for longer than the job: to take it off would cost each run more.
    signal.addEventListener('abort', () => {
      if (waiting.has(call)) reject(signal.reason)
    })
    add(call).then(resolve, reject)
  })

/** Runs a statement that may write for a job, in a transaction of its own. */
export const executeAlone = async (
  connections: Connections,
  statement: WritingStatement,
  call: Call,
): Promise<GivenRows> => {
  const [outcome] = await settleGroup(connections, statement, [call], alone)
  return givenBy(outcome)
}

const givenBy = (outcome: Outcome | undefined): GivenRows => {
  if (outcome?.kind === 'applied') return outcome
  throw outcome?.error
}

const alone: Pace = { most: () => 1, atOnce: () => 1, took: () => undefined, goAlone: () => undefined }
