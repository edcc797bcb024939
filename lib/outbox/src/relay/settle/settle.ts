import { keyOf, type OwnedLane } from '../lane/owned-lane.ts'
import type { Observe } from '../observation.ts'
import type { PublishOutcome, Refused } from '../publish/outcome.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { deleteConfirmed } from './delete-confirmed.ts'
import type { Destination } from './held-rows.ts'
import { type Hopeless, park } from './park.ts'

export type Settled = { confirmed: number; refused: number; unknown: number }

type SettleMeans = { parkAfter: number; observe: Observe }

/**
 * Ends a batch: confirmed rows are deleted, refused ones held back or, after too many refusals, parked, and unknown ones
 * left to be read again, since they may not be out. A confirm is remembered before the delete is tried.
 */
export const settle = async (
  owned: OwnedLane,
  outcomes: ReadonlyMap<LaneRow, PublishOutcome>,
  { parkAfter, observe }: SettleMeans,
): Promise<Settled> => {
  const settled: Settled = { confirmed: 0, refused: 0, unknown: 0 }
  const hopeless: Hopeless[] = []
  let example: Parameters<Observe>[0] | null = null
  for (const [row, outcome] of outcomes) {
    settled[outcome.kind] += 1
    if (outcome.kind === 'confirmed') {
      owned.held.wentThrough(row.id)
      owned.confirmed.push(row.id)
    } else if (outcome.kind === 'refused') {
      // Rows without a key in a key lane hold each other back.
      const isStray = owned.kind === 'key' && keyOf(row) === ''
      const closes = isStray ? null : destinationOf(row, outcome.of)
      const { isOneTooMany, ...again } = owned.held.hold(
        { id: row.id, key: keyOf(row) },
        outcome.why === 'closed channel',
        closes,
      )
      if ((isOneTooMany || again.attempt >= parkAfter) && !waitsForItsQueue(row, outcome)) {
        hopeless.push({ row, reason: outcome.reason, attempts: again.attempt })
      }
      const { messageId, exchange, routingKey } = row
      example ??= { kind: 'relay.refused', count: 0, reason: outcome.reason, messageId, exchange, routingKey, ...again }
    }
  }
  if (example !== null) observe({ ...example, count: settled.refused })
  await deleteConfirmed(owned)
  const [first] = hopeless
  if (first === undefined) return settled
  await park(owned, hopeless)
  observe({ kind: 'relay.parked', count: hopeless.length, reason: first.reason, messageId: first.row.messageId })
  return settled
}

/** What the refusal closes, or null if it is the row's own fault. */
const destinationOf = ({ exchange, routingKey }: LaneRow, refused: Refused): Destination | null => {
  if (refused === 'row') return null
  return { exchange, routingKey: refused === 'exchange' ? null : routingKey }
}

/** A message to a queue by its name waits as long as it takes: whoever consumes it declares the queue when it comes. */
const waitsForItsQueue = ({ exchange }: LaneRow, { why }: PublishOutcome & { kind: 'refused' }): boolean =>
  exchange === '' && why === 'unroutable'
