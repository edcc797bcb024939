import { OutboxError } from '../../errors.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { lookAtLanes } from '../read/look-at-lanes.ts'
import { takeXids, xidColumns } from '../read/xids.ts'
import { takeDoorbell } from './doorbell.ts'
import type { Lookout } from './lookout.ts'

/** While a transaction may commit without ringing, the lane is looked at again after such pauses, milliseconds. */
const firstPauseMs = 2
const longestPauseMs = 200

/** One that is open for long may stay so for hours: its rows wait at most this part of the time that it was open. */
const longestPausePart = 0.05

/** The pause after one of `pauseMs`, when the lane was waited with for `waitedMs`; both milliseconds. */
export const nextPauseMs = (pauseMs: number, waitedMs: number): number =>
  Math.min(2 * pauseMs, Math.max(longestPauseMs, longestPausePart * waitedMs))

/** There is something to do, or nothing before this many milliseconds (null: nothing is scheduled, held back or left). */
export type Rest = { kind: 'work' } | { kind: 'sleep'; nextMs: number | null }

/**
 * Takes the lane's doorbell, so that whoever writes from now on rings, and makes sure that nobody who asked for it before
 * is still to come: it draws an xid, and only a look that finds no row, and every older transaction ended or without any
 * yet, lets it sleep.
 */
export const fallAsleep = async (owned: OwnedLane, signal: AbortSignal): Promise<Rest> => {
  const { session, held, rounds, keyRounds, pointers, bell, writers } = owned
  let mark: bigint | null = null
  /** That of the writers, as it was known before the look was sent. */
  let horizon = 0n
  const startedMs = performance.now()
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = nextPauseMs(pauseMs, performance.now() - startedMs)) {
    // In a statement after that one: a writer that is younger than this mark finds the doorbell taken.
    if (mark === null && (await takeDoorbell(owned))) mark = await drawXid(owned)
    const [look] = await lookAtLanes(session, [owned])
    if (look === undefined) throw new OutboxError('row_invalid', 'the look at a lane gave no row')
    const { xmin, waiting, nextDueMs } = look
    pointers.sawEnded(xmin)
    const waits = [nextDueMs, held.nextMs(), rounds.nextMs(), keyRounds.nextMs()].filter((ms) => ms !== null)
    const nextMs = waits.length === 0 ? null : Math.min(...waits)
    if (waiting || nextMs === 0) return { kind: 'work' }
    if (mark !== null && (xmin > mark || horizon > mark)) return { kind: 'sleep', nextMs }
    await bell.wait(nextMs === null ? pauseMs : Math.min(pauseMs, nextMs), signal)
    // Not before the first look: it seldom takes another one.
    if (mark !== null) horizon = await writers.horizon()
  }
  return { kind: 'work' }
}

/** The longest time that a timer takes, milliseconds. */
const longestTimerMs = 2 ** 31 - 1

/** Sleeps until somebody rings, or the time comes; says whether it rang. */
export const sleep = async (
  owned: OwnedLane,
  nextMs: number | null,
  lookout: Lookout,
  signal: AbortSignal,
): Promise<boolean> => {
  lookout.add(owned)
  const rang = await owned.bell.wait(Math.min(nextMs ?? longestTimerMs, longestTimerMs), signal)
  lookout.remove(owned)
  return rang
}

const drawXid = async ({ session, pointers }: OwnedLane): Promise<bigint> => {
  const cursor = pointers.cursor()
  const { rows } = await session.query(drawXidSql, [])
  return takeXids(pointers, rows[0], cursor).xid
}

const drawXidSql = { name: 'draw_xid', text: `select ${xidColumns}` }
