import type { Observe } from '../observation.ts'
import type { OwnedLane } from '../own/owner.ts'
import type { PublishOutcome } from '../publish/outcome.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { deleteConfirmed } from './delete-confirmed.ts'

export type Settled = { confirmed: number; refused: number; unknown: number }

/**
 * Ends a turn: confirmed rows are deleted, refused ones held back, and unknown ones left to be read again, since they
 * may not be out. A confirm is remembered before the delete is tried.
 */
export const settle = async (
  owned: OwnedLane,
  outcomes: ReadonlyMap<LaneRow, PublishOutcome>,
  observe: Observe,
): Promise<Settled> => {
  const settled: Settled = { confirmed: 0, refused: 0, unknown: 0 }
  let example: Parameters<Observe>[0] | null = null
  for (const [row, outcome] of outcomes) {
    settled[outcome.kind] += 1
    if (outcome.kind === 'confirmed') {
      owned.held.release(row.id)
      owned.confirmed.push(row.id)
    } else if (outcome.kind === 'refused') {
      const again = owned.held.hold(row.id, outcome.closedChannel)
      const { messageId, exchange, routingKey } = row
      example ??= { kind: 'relay.refused', count: 0, reason: outcome.reason, messageId, exchange, routingKey, ...again }
    }
  }
  if (example !== null) observe({ ...example, count: settled.refused })
  await deleteConfirmed(owned)
  return settled
}
