import type { Observe } from '../observation.ts'
import {
  type Outcomes,
  partSuspects,
  publishOneByOne,
  publishTogether,
  type PublishMeans,
} from '../publish/publish-rows.ts'
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

/** How many reads share the window: while one batch is confirmed and deleted, the next ones are on their way. */
const batchesInFlight = 4

/**
 * One pass through a lane: moves what is due, then reads, publishes and settles batch after batch until a read comes
 * short, several batches at a time. It ends early, with what was left unread, when the broker is blocked or lost, or
 * the lane is to be left. When it ends, nothing is in flight.
 *
 * @throws OutboxError `session_lost` or `broker_unavailable`, and what Postgres says of a statement. Rows that were
 * published and not deleted by then are published again.
 */
export const takePass = async (owned: OwnedLane, means: PassMeans): Promise<Pass> => {
  const { window, memory, observe, link, leaving } = means
  const pass: Pass = { moved: 0, read: 0, confirmed: 0, refused: 0, unknown: 0 }
  const limit = Math.ceil(window / batchesInFlight)
  const overlap = createOverlap()

  const settlePart = async (rows: readonly LaneRow[], publishing: Promise<Outcomes>): Promise<Settled> => {
    const startedMs = performance.now()
    const letGo = memory.hold(rows)
    try {
      const settled = await settle(owned, await publishing, means)
      const { confirmed, refused, unknown } = settled
      const ms = Math.round(performance.now() - startedMs)
      observe({ kind: 'relay.batch', lane: owned.name, confirmed, refused, unknown, ms })
      return settled
    } finally {
      letGo()
      // Whatever did not come to an end is to be read again.
      const undeleted = new Set(owned.confirmed)
      for (const { id } of rows) if (!undeleted.has(id)) owned.known.delete(id)
    }
  }

  const finish = async (batch: Batch, rows: readonly LaneRow[], publishing: Promise<Outcomes>) => {
    const { confirmed, refused, unknown, left } = await settlePart(rows, publishing)
    pass.confirmed += confirmed
    pass.refused += refused
    pass.unknown += unknown
    // A batch of which something was not tried, or has no confirm, is read again.
    if (confirmed + refused === batch.rows.length) batch.ended?.(left)
  }

  try {
    await deleteConfirmed(owned)
    owned.known.clear()
    if (owned.kind !== 'key' || owned.moving.isDue()) pass.moved = await moveDue(owned, limit, leaving)
    // There may be more.
    if (pass.moved > 0) owned.moving.idled()
    let read = createReader(owned, limit)
    let batch = await read()
    while (batch.rows.length > 0) {
      const { alone, secluded, together } = partSuspects(owned, batch.rows)
      pass.read += batch.rows.length
      // Before those that may close the channel or the connection, each time they are tried: behind them nothing goes out.
      if (together.length > 0) {
        overlap.add(together.length, finish(batch, together, publishTogether(owned, together, means)))
      }
      if (alone.length > 0) {
        await overlap.room(0)
        await finish(batch, alone, publishOneByOne(owned, alone, means))
      }
      if (secluded.length > 0) {
        await overlap.room(0)
        await finish(batch, secluded, publishTogether(owned, secluded, means, 'alone'))
      }
      await overlap.room(batch.full ? window - limit : 0, memory.isTight)
      // Suspects may have come while it waited, and a read from the start must not meet a batch that is being settled.
      if (owned.suspects.size > 0) await overlap.room(0)
      if (pass.unknown > 0 || !link.up() || link.blocked() || leaving.aborted) break
      if (owned.suspects.size > 0) read = createReader(owned, limit)
      else if (!batch.full) break
      batch = await read()
    }
    await overlap.room(0)
    if (pass.read === 0) {
      owned.moving.idled()
      owned.raising.idled()
    }
  } finally {
    await overlap.ended()
  }
  if (pass.moved > 0) observe({ kind: 'relay.moved', count: pass.moved })
  return pass
}
