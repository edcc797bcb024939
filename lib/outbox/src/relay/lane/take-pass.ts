import { type Backoff, backoffMs } from '../backoff.ts'
import type { Observe } from '../observation.ts'
import { publishTogether } from '../publish/publish-rows.ts'
import { partSuspects, publishOneByOne } from '../publish/publish-suspects.ts'
import type { Outcomes, PublishMeans } from '../publish/send-rows.ts'
import type { Batch } from '../read/bounded-read.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { moveDue } from '../read/move-due.ts'
import { createReader } from '../read/reader.ts'
import { deleteConfirmed } from '../settle/delete-confirmed.ts'
import { settle, type Settled } from '../settle/settle.ts'
import { createOverlap } from './overlap.ts'
import type { OwnedLane } from './owned-lane.ts'
import type { Pass } from './pass.ts'
import type { PayloadMemory } from './payload-memory.ts'

export type PassMeans = PublishMeans & {
  /** Messages in flight at a time. */
  window: number
  memory: PayloadMemory
  /** After how many refusals a row is parked. */
  parkAfter: number
  observe: Observe
  /** Aborted when the lane is to be left: nothing more is read then. */
  leaving: AbortSignal
}

/** Hears how some rows of a batch have ended. */
type Tell = (settled: Settled) => void

/** How long to wait for confirms before the lane is read again beside what is on its way, later and later while that is all. */
const rereadBackoff: Backoff = { firstMs: 50, capMs: 200 }

/**
 * Where the lane is to be left nothing more is read but beside what is late: what has been on its way for so long,
 * milliseconds, and for twice as long as the last batch that ended. A broker that takes its time for all is left as soon as
 * it has confirmed what is on its way.
 */
const lateAtLastMs = 2_000

/**
 * How long a suspect waits for what its lane has in flight, milliseconds. The broker closes a channel over a message when it
 * comes to that; what has no confirm by then waits for a queue.
 */
const aloneWaitMs = 5_000

/** How many reads share the window: while one batch is confirmed and deleted, the next ones are on their way. */
const batchesInFlight = 4

/**
 * One pass through a lane: moves what is due, then reads, publishes and settles batch after batch until a read comes
 * short, several batches at a time, and again while some of them are on their way for long. It ends early, with what was
 * left unread, when the broker is blocked or lost, or the lane is to be left. When it ends, nothing is in flight.
 *
 * @throws OutboxError `session_lost` or `broker_unavailable`, and what Postgres says of a statement. Rows that were
 * published and not deleted by then are published again.
 */
export const takePass = async (owned: OwnedLane, means: PassMeans): Promise<Pass> => {
  const { window, memory, observe, link, leaving } = means
  const pass: Pass = { moved: 0, read: 0, confirmed: 0, refused: 0, unknown: 0 }
  const limit = Math.ceil(window / batchesInFlight)
  const overlap = createOverlap()
  /** Whether rows were left to a round. */
  let isLeft = false
  /** Of batches whose rows go together. */
  let starts = 0
  /** How long the last batch took that has ended, milliseconds. */
  let lastMs = 0

  /** Settles what `publishing` tells of `rows`. Whatever of them did not come to an end is to be read again. */
  const settleRows = async (
    rows: Set<LaneRow>,
    publishing: Promise<Outcomes>,
    tell: Tell,
    startedMs = performance.now(),
  ): Promise<void> => {
    const letGo = memory.hold(rows)
    let settled: Settled
    try {
      settled = await settle(owned, await publishing, means)
    } finally {
      letGo()
      const undeleted = new Set(owned.confirmed)
      for (const { id } of rows) if (!undeleted.has(id)) owned.known.delete(id)
    }
    const { confirmed, refused, unknown, left } = settled
    lastMs = Math.round(performance.now() - startedMs)
    observe({ kind: 'relay.batch', lane: owned.name, confirmed, refused, unknown, ms: lastMs })
    pass.confirmed += confirmed
    pass.refused += refused
    pass.unknown += unknown
    if (left > 0) isLeft = true
    tell(settled)
  }

  /** Those that end in time are settled while others of them are late. */
  const startTogether = (together: readonly LaneRow[], tell: Tell): void => {
    const rows = new Set(together)
    const startedMs = performance.now()
    starts += 1
    const ownStart = starts
    const isLone = rows.size === 1 && owned.known.size === 1
    const isAlone = () => isLone && starts === ownStart
    overlap.add(rows.size, (leave) => {
      const onLate = (ended: Outcomes) => {
        for (const row of ended.keys()) rows.delete(row)
        // They are one more batch from now on.
        overlap.add(ended.size, () => settleRows(new Set(ended.keys()), Promise.resolve(ended), tell, startedMs))
        leave(ended.size)
      }
      return settleRows(rows, publishTogether(owned, together, means, { onLate, isAlone }), tell)
    })
  }

  const isBarred = () => !link.up() || link.blocked()

  /** Whether nothing more is to be read: what has no confirm would come again at once, and else nothing can go out. */
  const isCut = () => pass.unknown > 0 || isBarred()

  const move = async (): Promise<void> => {
    const moved = await moveDue(owned, limit, leaving)
    if (moved === 0) return
    pass.moved += moved
    observe({ kind: 'relay.moved', count: moved })
  }

  /** Reads and publishes until a read comes short. What is on its way then may be so for long. */
  const readAll = async (): Promise<void> => {
    let read = createReader(owned, limit)
    let batch = await read()
    while (batch.rows.length > 0) {
      const { alone, secluded, together } = partSuspects(owned, batch.rows)
      const tell = tally(batch)
      pass.read += batch.rows.length
      // Before those that may close the channel or the connection, each time they are tried: behind them nothing goes out.
      if (together.length > 0) startTogether(together, tell)
      if (alone.length > 0) {
        await overlap.endsWithin(aloneWaitMs)
        if (isBarred() || leaving.aborted) return
        await settleRows(new Set(alone), publishOneByOne(owned, alone, means), tell)
      }
      if (secluded.length > 0) {
        await overlap.endsWithin(aloneWaitMs)
        if (isBarred() || leaving.aborted) return
        await settleRows(new Set(secluded), publishTogether(owned, secluded, means, { turn: 'alone' }), tell)
      }
      await overlap.room(window - limit, memory.isTight)
      // Suspects may have come while it waited, and a read of them must not meet a batch that is being settled.
      if (owned.suspects.size > 0) await overlap.endsWithin(aloneWaitMs)
      if (isCut() || leaving.aborted) return
      if (owned.suspects.size > 0) read = createReader(owned, limit)
      else if (!batch.full) return
      batch = await read()
    }
  }

  try {
    await deleteConfirmed(owned)
    owned.known.clear()
    if (owned.kind !== 'key' || owned.moving.isDue()) await move()
    await readAll()
    // Where confirms are late, the rest of the lane goes on beside what waits for them.
    for (let idle = 0; ;) {
      const lateMs = Math.max(lateAtLastMs, 2 * lastMs)
      const mayLeave = leaving.aborted && !overlap.isLate(lateMs)
      const isOnTime = await overlap.endsWithin(mayLeave ? lateMs : backoffMs(idle + 1, rereadBackoff))
      // Nobody else can have a lane of which something is on its way, and its other rows are not to wait for that.
      if (isCut() || (leaving.aborted && isOnTime)) break
      // Suspects may have come meanwhile. What was left to a round would be read again at once: none passes it while a row
      // before it is on its way.
      if ((isOnTime || isLeft) && (owned.suspects.size === 0 || idle > 0)) break
      if (owned.moving.isDue()) await move()
      const before = pass.read
      await readAll()
      idle = pass.read > before ? 0 : idle + 1
    }
    await overlap.room(0)
    // There may be more.
    if (pass.moved > 0) owned.moving.idled()
    if (pass.read === 0) {
      owned.moving.idled()
      owned.raising.idled()
    }
  } finally {
    await overlap.ended()
  }
  return pass
}

/** A batch of which something was not tried, or has no confirm, does not end: it is read again. */
const tally = ({ rows, ended }: Batch): Tell => {
  let open = rows.length
  let allLeft = 0
  return ({ confirmed, refused, left }) => {
    open -= confirmed + refused
    allLeft += left
    if (open === 0) ended?.(allLeft)
  }
}
