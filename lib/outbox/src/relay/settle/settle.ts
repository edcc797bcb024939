import { keyOf, type OwnedLane } from '../lane/owned-lane.ts'
import type { Observe } from '../observation.ts'
import type { PublishOutcome, Refused } from '../publish/outcome.ts'
import { type LaneRow, nameOfDestination } from '../read/lane-row.ts'
import type { Destination } from './closed-destinations.ts'
import { deleteConfirmed } from './delete-confirmed.ts'
import { type Hopeless, park } from './park.ts'

/** How many of a batch ended in which way. `left` are those of the refused that were left to a round. */
export type Settled = { confirmed: number; refused: number; unknown: number; left: number }

type SettleMeans = { parkAfter: number; observe: Observe }

/**
 * Ends a batch: confirmed rows are deleted, refused ones held back or, after too many refusals, parked, and unknown
 * ones are read again, since they may not be out: at once, but for those whose own confirm did not come in time. A row
 * that is one too many to be held, and waits for its queue, is left to a round. A confirm is remembered before the
 * delete is tried.
 */
export const settle = async (
  owned: OwnedLane,
  outcomes: ReadonlyMap<LaneRow, PublishOutcome>,
  { parkAfter, observe }: SettleMeans,
): Promise<Settled> => {
  const settled: Settled = { confirmed: 0, refused: 0, unknown: 0, left: 0 }
  for (const { kind } of outcomes.values()) settled[kind] += 1
  takeConfirmed(owned, outcomes)
  holdLate(owned, outcomes)
  const takers = settled.refused === 0 ? new Set<string>() : namesOfTakers(outcomes)
  const hopeless: Hopeless[] = []
  let example: Parameters<Observe>[0] | null = null
  for (const [row, outcome] of outcomes) {
    if (outcome.kind !== 'refused') continue
    // Rows without a key in a key lane hold each other back. And where a queue took another row with the same routing key,
    // the exchange goes by more than that.
    const isStray = owned.kind === 'key' && keyOf(row) === ''
    const isForItself = isStray || (outcome.why === 'unroutable' && takers.has(nameOfDestination(row)))
    const closes = isForItself ? null : destinationOf(row, outcome.of)
    const waits = waitsForItsQueue(row, outcome)
    const held = owned.held.hold({ id: row.id, key: keyOf(row) }, outcome.why, closes, waits)
    const { isOneTooMany, refusals, ...again } = held
    if (!waits) {
      if (isOneTooMany || refusals >= parkAfter) hopeless.push({ row, reason: outcome.reason, attempts: refusals })
    } else {
      owned.keyRounds.missed(row.routingKey)
      // A row without a key in a key lane is held all the same: there is one at a time.
      if (isOneTooMany && !isStray) {
        owned.held.release(row.id)
        settled.left += 1
      }
    }
    const { messageId, exchange, routingKey } = row
    example ??= { kind: 'relay.refused', count: 0, reason: outcome.reason, messageId, exchange, routingKey, ...again }
  }
  if (example !== null) observe({ ...example, count: settled.refused })
  await deleteConfirmed(owned)
  if (hopeless.length === 0) return settled
  const parked = await park(owned, hopeless)
  const [first] = parked
  if (first === undefined) return settled
  observe({ kind: 'relay.parked', count: parked.length, reason: first.reason, messageId: first.row.messageId })
  return settled
}

/**
 * Holds back what the broker does not confirm, and if it is for a queue by its name, whatever else is to that: a queue that
 * has lost most of its nodes would else have the lane's window, and be sent the same ones again each time. None of it is
 * ever parked, as nobody refuses it.
 */
const holdLate = ({ kind, held }: OwnedLane, outcomes: ReadonlyMap<LaneRow, PublishOutcome>): void => {
  for (const [row, outcome] of outcomes) {
    if (outcome.kind !== 'unknown' || outcome.isLate !== true) continue
    const isStray = kind === 'key' && keyOf(row) === ''
    const closes = row.exchange === '' && !isStray ? destinationOf(row, 'destination') : null
    const { isOneTooMany } = held.hold({ id: row.id, key: keyOf(row) }, 'unconfirmed', closes, true)
    if (isOneTooMany && !isStray) held.release(row.id)
  }
}

const takeConfirmed = (
  { held, keyRounds, confirmed }: OwnedLane,
  outcomes: ReadonlyMap<LaneRow, PublishOutcome>,
): void => {
  for (const [{ id, exchange, routingKey }, { kind }] of outcomes) {
    if (kind !== 'confirmed') continue
    held.wentThrough(id)
    if (exchange === '') keyRounds.took(routingKey)
    confirmed.push(id)
  }
  if (held.isEmpty()) return
  // After all that were held: where such a one went through, the destination has opened for all.
  for (const [{ exchange, routingKey }, { kind }] of outcomes) {
    if (kind === 'confirmed') held.tookAnother(exchange, routingKey)
  }
}

/** The destinations of which a queue took a row. */
const namesOfTakers = (outcomes: ReadonlyMap<LaneRow, PublishOutcome>): Set<string> =>
  new Set([...outcomes].filter(([, { kind }]) => kind === 'confirmed').map(([row]) => nameOfDestination(row)))

/** What the refusal closes, or null if it is the row's own fault. */
const destinationOf = ({ exchange, routingKey }: LaneRow, refused: Refused): Destination | null => {
  if (refused === 'row') return null
  return { exchange, routingKey: refused === 'exchange' ? null : routingKey }
}

/**
 * A message to a queue by its name waits as long as it takes: whoever consumes it declares the queue when it comes. No
 * queue has an empty name, and nobody may declare one that RabbitMQ named itself, so those go the way of all others.
 */
const waitsForItsQueue = ({ exchange, routingKey }: LaneRow, { why }: PublishOutcome & { kind: 'refused' }): boolean =>
  exchange === '' && why === 'unroutable' && routingKey !== '' && !routingKey.startsWith('amq.')
