import type { Observe } from './observation.ts'
import type { OwnedLane } from './own/owner.ts'
import type { BrokerLink } from './publish/broker-link.ts'
import type { PublishOutcome } from './publish/outcome.ts'
import { publishRows } from './publish/publish-rows.ts'
import type { LaneRow } from './read/lane-row.ts'
import { moveDue, nextDueMs } from './read/move-due.ts'
import { readLane } from './read/read-lane.ts'
import { deleteConfirmed } from './settle/delete-confirmed.ts'
import { settle } from './settle/settle.ts'

/** What one turn of a relay did. */
export type Turn =
  /** Nothing: a neighbour owns the lane. */
  | { kind: 'waiting' }
  /** Nothing: the broker takes no messages for now. */
  | { kind: 'blocked' }
  | {
      kind: 'done'
      /** Scheduled rows that were due and are in the lane now. */
      moved: number
      /** Rows that were read and so tried. */
      read: number
      confirmed: number
      refused: number
      unknown: number
      /** A full batch means that more is waiting. */
      more: boolean
      /** Milliseconds until a row that is held back or scheduled may go, or null if there is none. */
      nextMs: number | null
    }

type TurnMeans = { link: BrokerLink; window: number; confirmDeadlineMs: number; observe: Observe }

/**
 * One turn in a lane that is owned: moves what is due, reads, publishes, settles.
 *
 * @throws OutboxError `session_lost` or `broker_unavailable`, and what Postgres says of a statement. Rows that were
 * published and not deleted by then are published again.
 */
export const takeTurn = async (owned: OwnedLane, means: TurnMeans): Promise<Turn> => {
  const { link, window, confirmDeadlineMs, observe } = means
  const { session, held } = owned
  await deleteConfirmed(owned)
  if (link.blocked()) return { kind: 'blocked' }
  const startedMs = performance.now()
  const moved = await moveDue(owned, window)
  const rows = await readLane(owned, window)
  const outcomes =
    rows.length === 0
      ? new Map<LaneRow, PublishOutcome>()
      : await publishRows(rows, {
          link,
          confirmDeadlineMs,
          lost: session.lost,
          isSuspect: ({ id }) => held.closedChannel(id),
        })
  const settled = await settle(owned, outcomes, observe)
  if (moved > 0 || rows.length > 0) {
    observe({ kind: 'relay.batch', moved, ...settled, ms: Math.round(performance.now() - startedMs) })
  }
  const more = moved === window || rows.length === window
  return { kind: 'done', moved, read: rows.length, ...settled, more, nextMs: more ? null : await nextMs(owned) }
}

const nextMs = async (owned: OwnedLane): Promise<number | null> => {
  const waits = [owned.held.nextMs(), await nextDueMs(owned)].filter((ms) => ms !== null)
  return waits.length === 0 ? null : Math.min(...waits)
}
