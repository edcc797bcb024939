import { gather } from '@esteira/workflow'
import type { Connections } from '../connections.ts'
import type { Call, WritingStatement } from '../run-statement.ts'
import { createPace, type Pace } from './pace.ts'
import { noOutcome, type Outcome, settleGroup } from './settle-group.ts'

/** Runs a statement that may write for a job, and resolves to how that ended when it has committed, or been refused. */
export type Execute = (statement: WritingStatement, call: Call) => Promise<Outcome>

/** The runs of one statement, which may share transactions. */
type Group = { statement: WritingStatement; add: (call: Call) => Promise<Outcome> }

/** Texts of statements whose pace is remembered, and groups of each: `config.maxRows` may differ from job to job. */
const [mostTexts, mostOfText] = [1_000, 100]

/**
 * Puts jobs' runs of one statement into one transaction where they come faster than it commits. Those of another
 * statement, connection or durability are never in it.
 */
export const groupStatements = (connections: Connections): Execute => {
  const groups = new Map<string, Group[]>()
  const groupOf = (statement: WritingStatement): Group => {
    const known = groups.get(statement.sql) ?? []
    const found = known.find((group) => isSame(group.statement, statement))
    if (found !== undefined) return found
    const group = { statement, add: gatherCalls(connections, statement) }
    groups.set(statement.sql, [group, ...known.slice(0, mostOfText - 1)])
    const [oldest] = groups.keys()
    if (groups.size > mostTexts && oldest !== undefined) groups.delete(oldest)
    return group
  }
  return (statement, call) =>
    statement.mayShare ? groupOf(statement).add(call) : executeAlone(connections, statement, call)
}

/** Whether the runs of two statements with one text may share a transaction. */
const isSame = (one: WritingStatement, other: WritingStatement): boolean =>
  one.connection === other.connection &&
  one.durability === other.durability &&
  one.once === other.once &&
  one.rows === other.rows &&
  one.maxRows === other.maxRows &&
  one.limit?.of === other.limit?.of &&
  one.limit?.mostBytes === other.limit?.mostBytes

/** A run that is cancelled before its group begins is waited for no longer. */
const gatherCalls = (connections: Connections, statement: WritingStatement): Group['add'] => {
  const pace = createPace({ sessions: connections.atOnce(statement.connection), mayMeet: statement.mayMeet })
  const { most, atOnce } = pace
  const options = { most, atOnce, keyOf: ({ key }: Call) => key, signalOf: ({ signal }: Call) => signal }
  return gather(options, (calls: Call[]) => settleGroup(connections, statement, calls, pace))
}

/** Runs a statement that may write for a job, in a transaction of its own. */
export const executeAlone: (connections: Connections, ...of: Parameters<Execute>) => Promise<Outcome> = async (
  connections,
  statement,
  call,
) => {
  const [outcome] = await settleGroup(connections, statement, [call], alone)
  return outcome ?? noOutcome
}

const alone: Pace = { most: () => 1, atOnce: () => 1, took: () => undefined, goAlone: () => undefined }
