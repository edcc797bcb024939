import { spreadMs } from '../backoff.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { lookAtLane } from '../read/look-at-lane.ts'
import { takeXids, xidColumns } from '../read/xids.ts'

/** While a transaction may commit without ringing, the lane is looked at again after these pauses, milliseconds. */
const firstPauseMs = 2
const longestPauseMs = 200

/** There is something to do, or nothing before this many milliseconds (null: nothing is scheduled or held back). */
export type Rest = { kind: 'work' } | { kind: 'sleep'; nextMs: number | null }

/**
 * Sets the lane's bell, so that whoever commits from now on rings, and makes sure that nobody who looked at it before is
 * still to come: it draws an xid, and only a look that finds every older transaction ended, and no row, lets it sleep.
 */
export const fallAsleep = async (owned: OwnedLane, signal: AbortSignal): Promise<Rest> => {
  const { session, lane, held, pointers, bell } = owned
  await session.query(setBellSql, [lane])
  // In a transaction after that one: a writer that is younger than this mark sees the bell set.
  const mark = await drawXid(owned)
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    const { xmin, waiting, nextDueMs } = await lookAtLane(owned)
    pointers.sawXmin(xmin)
    const waits = [nextDueMs, held.nextMs()].filter((ms) => ms !== null)
    const nextMs = waits.length === 0 ? null : Math.min(...waits)
    if (waiting || nextMs === 0) return { kind: 'work' }
    if (xmin > mark) return { kind: 'sleep', nextMs }
    await bell.wait(nextMs === null ? pauseMs : Math.min(pauseMs, nextMs), signal)
  }
  return { kind: 'work' }
}

/**
 * Sleeps until somebody rings, or the time comes. A lost ring leaves a row that nobody tells of, so the lane is looked at
 * every now and then, with its bell still set.
 */
export const sleep = async (
  owned: OwnedLane,
  nextMs: number | null,
  pollMs: number,
  signal: AbortSignal,
): Promise<void> => {
  let leftMs = nextMs ?? Number.POSITIVE_INFINITY
  while (leftMs > 0 && !signal.aborted) {
    const ms = Math.min(spreadMs(pollMs), leftMs)
    if (await owned.bell.wait(ms, signal)) return
    const { waiting, nextDueMs } = await lookAtLane(owned)
    if (waiting) return
    leftMs = Math.min(leftMs - ms, nextDueMs ?? Number.POSITIVE_INFINITY)
  }
}

/** Nobody needs to ring for a relay that is awake. */
export const wakeUp = async ({ session, lane }: OwnedLane): Promise<void> => {
  await session.query(clearBellSql, [lane])
}

const drawXid = async ({ session, pointers }: OwnedLane): Promise<bigint> => {
  const cursor = pointers.cursor()
  const { rows } = await session.query(drawXidSql, [])
  return takeXids(pointers, rows[0], cursor).xid
}

const setBellSql = {
  name: 'set_bell',
  text: `
    insert into outbox_bell (lane, asleep) values ($1, true)
    on conflict (lane) do update set asleep = true where not outbox_bell.asleep`,
}

const clearBellSql = { name: 'clear_bell', text: 'update outbox_bell set asleep = false where lane = $1 and asleep' }

const drawXidSql = { name: 'draw_xid', text: `select ${xidColumns}` }
