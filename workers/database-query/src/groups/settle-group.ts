import { DatabaseError } from 'pg'
import { isAway } from '../away.ts'
import type { Connections } from '../connections.ts'
import { DatabaseQueryError } from '../errors.ts'
import { type Call, executeOnce, type Limit, type WritingStatement } from '../run-statement.ts'
import type { Pace } from './pace.ts'

/** The rows that a run of a statement gave, null if it can give none. Whoever has them lets them go once, when they are used. */
export type GivenRows = { rows: readonly unknown[] | null; letGo: () => void }

/** How a job's run of a statement ended: with the rows that it gave, or with what was thrown. */
export type Outcome = ({ kind: 'applied' } & GivenRows) | { kind: 'refused'; error: unknown }

/** A transaction of several runs is given up after this, milliseconds: one of them waits for somebody else's lock. */
const usualLimitMs = 2_000

/**
 * Runs a statement for a group of jobs in one transaction, and gives how each ended. If that is refused nothing of it is
 * written, and it is divided around the run that was refused, or halved if it was none of them, until each that is
 * refused is alone: so only the guilty one fails, and in the end all others are written, in their order. A run whose job
 * is cancelled, or out of time, is left out, and the others begin anew.
 *
 * Where runs keep each other waiting, each has a transaction of its own: one after the other when they were in a
 * deadlock, side by side when one of them takes its time.
 */
export const settleGroup = async (
  connections: Connections,
  statement: WritingStatement,
  group: readonly Call[],
  pace: Pace,
  limitMs = usualLimitMs,
): Promise<Outcome[]> => {
  const outcomes = new Map<Call, Outcome>()

  const settle = async (calls: readonly Call[]): Promise<void> => {
    const open = calls.filter((call) => !call.signal.aborted)
    for (const call of calls) {
      if (call.signal.aborted) outcomes.set(call, { kind: 'refused', error: call.signal.reason })
    }
    if (open.length === 0) return
    const limit = limitOf(open, limitMs)
    const executed = await executeOnce(connections, statement, open, limit)
    limit.end()
    if (executed.kind === 'committed') {
      pace.took(executed.ms, open.length)
      const letGo = atLast(open.length, executed.letGo)
      open.forEach((call, index) => outcomes.set(call, { kind: 'applied', rows: executed.rows[index] ?? null, letGo }))
      return
    }
    const { error, at } = executed
    if (open.some(({ signal }) => signal.aborted)) return settle(open)
    if (open.length === 1 || isForAll(error)) {
      for (const call of open) outcomes.set(call, { kind: 'refused', error })
      return
    }
    if (limit.signal.aborted) {
      pace.goAlone()
      await Promise.all(open.map((call) => settle([call])))
      return
    }
    const isApart = isConflict(error)
    if (isApart) pace.goAlone()
    for (const part of isApart ? open.map((call) => [call]) : partsAround(open, at)) await settle(part)
  }

  const { firsts, again } = byJob(group)
  await settle(firsts)
  for (const call of again) await settle([call])
  return group.map((call) => outcomes.get(call) ?? noOutcome)
}

export const noOutcome: Outcome = { kind: 'refused', error: new Error('a run has no outcome') }

/** Does something when it is called for the last of so many times. */
const atLast = (times: number, act: () => void): (() => void) => {
  let left = times
  return () => {
    left -= 1
    if (left === 0) act()
  }
}

/** A job whose message came twice may be there twice: the later one finds what the first has written. */
const byJob = (group: readonly Call[]): { firsts: Call[]; again: Call[] } => {
  const keys = new Set<string>()
  const [firsts, again]: [Call[], Call[]] = [[], []]
  for (const call of group) {
    ;(keys.has(call.key) ? again : firsts).push(call)
    keys.add(call.key)
  }
  return { firsts, again }
}

/**
 * Aborted when one of the runs is not wanted any more or, of several, when their time is up. It stays on the jobs'
 * signals, which nobody has for longer than the jobs: to take it off would cost each run more.
 */
const limitOf = (calls: readonly Call[], limitMs: number): Limit => {
  const limit = new AbortController()
  let isOver = false
  const abort = () => {
    if (!isOver) limit.abort()
  }
  for (const { signal } of calls) signal.addEventListener('abort', abort)
  let timer: NodeJS.Timeout | undefined
  return {
    signal: limit.signal,
    begin: () => {
      if (calls.length > 1) timer ??= setTimeout(abort, limitMs)
    },
    end: () => {
      isOver = true
      clearTimeout(timer)
    },
  }
}

/** What each run by itself would hear as well: the database is away, the ledger cannot be used, the step is wrong. */
const isForAll = (error: unknown): boolean =>
  error instanceof DatabaseQueryError ? !ofRun.has(error.code) : isAway(error)

/** What one run, or what it left in its session, may be to blame for. */
const ofRun: ReadonlySet<string> = new Set([
  'session_lost',
  'session_changed',
  'too_many_rows',
  'result_too_large',
  'memory_taken',
  'result_refused',
])

/** Deadlocks and serialization failures, to which the others of a transaction contribute, and sessions that are changed. */
const isConflict = (error: unknown): boolean =>
  error instanceof DatabaseQueryError
    ? error.code === 'session_changed'
    : error instanceof DatabaseError && error.code?.startsWith('40') === true

/** The parts of a group of which the run at the place was refused, in their order. */
const partsAround = (calls: readonly Call[], at: number | null): Call[][] =>
  at === null
    ? halves(calls)
    : [calls.slice(0, at), calls.slice(at, at + 1), ...halves(calls.slice(at + 1))].filter(({ length }) => length > 0)

const halves = (calls: readonly Call[]): Call[][] => {
  const middle = Math.ceil(calls.length / 2)
  return [calls.slice(0, middle), calls.slice(middle)].filter(({ length }) => length > 0)
}
