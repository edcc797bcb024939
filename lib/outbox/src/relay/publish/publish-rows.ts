import { OutboxError } from '../../errors.ts'
import { callOut } from '../call-out.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { LaneRow } from '../read/lane-row.ts'
import type { BrokerLink } from './broker-link.ts'
import type { ConfirmChannel } from './confirm-channel.ts'
import type { LaneChannel } from './lane-channel.ts'
import { type OnSend, tellSend } from './on-send.ts'
import type { PublishOutcome } from './outcome.ts'

export type PublishMeans = { link: BrokerLink; channel: LaneChannel; confirmDeadlineMs: number; onSend: OnSend | null }

export type Outcomes = Map<LaneRow, PublishOutcome>

/**
 * Publishes rows, all in flight together, and says of each how it ended; rows that were not tried are left out.
 *
 * The broker answers some bad rows (an exchange that is not there, a message too large) by closing the channel, which
 * leaves everything in flight unknown and does not say who it was. All of them are suspects from then on, and left out
 * too: how they end is known once each was tried alone.
 *
 * @throws OutboxError `session_lost`, or `broker_unavailable` if nothing was published.
 */
export const publishTogether = async (
  owned: OwnedLane,
  rows: readonly LaneRow[],
  means: PublishMeans,
): Promise<Outcomes> => {
  const channel = await means.channel.open()
  const outcomes = await publish(owned, channel, rows, means)
  if (channel.fault() === null) return outcomes
  for (const [row, { kind }] of outcomes) {
    if (kind !== 'unknown') continue
    owned.suspects.add(row.id)
    outcomes.delete(row)
  }
  return outcomes
}

/**
 * Publishes suspects one at a time, which costs each good one at most one more publish. The row that closes the channel
 * alone is the guilty one: it is refused with what the broker said, and goes alone from then on. If the exchange is not
 * there, so are the others to it, untried: each would cost a channel to hear the same. Other rows that were not tried are
 * left out, and stay suspects.
 *
 * @throws OutboxError `session_lost`, or `broker_unavailable` or `fence_held` if nothing was published.
 */
export const publishOneByOne = async (
  owned: OwnedLane,
  rows: readonly LaneRow[],
  means: PublishMeans,
): Promise<Outcomes> => {
  const outcomes: Outcomes = new Map()
  const missing = new Map<string, PublishOutcome>()
  for (const row of rows) {
    const known = missing.get(row.exchange)
    if (known !== undefined) {
      outcomes.set(row, known)
      owned.suspects.delete(row.id)
      continue
    }
    const channel = outcomes.size === 0 ? await means.channel.open() : await openOrNull(means.channel)
    if (channel === null) break
    const outcome = (await publish(owned, channel, [row], means)).get(row)
    // The lane is lost.
    if (outcome === undefined) break
    const fault = channel.fault()
    // The link fell, or confirms do not come: the next row would fare no better.
    if (fault === null && outcome.kind === 'unknown') {
      outcomes.set(row, outcome)
      break
    }
    const seen: PublishOutcome = fault === null ? outcome : { kind: 'refused', why: 'closed channel', ...fault }
    outcomes.set(row, seen)
    owned.suspects.delete(row.id)
    if (fault?.of === 'exchange') missing.set(row.exchange, seen)
  }
  return outcomes
}

/** A link that is gone is not this row's fault; the next read of what is left meets it again and says so. */
const openOrNull = async (channel: LaneChannel): Promise<ConfirmChannel | null> => {
  try {
    return await channel.open()
  } catch (error) {
    if (error instanceof OutboxError) return null
    throw error
  }
}

/** Parts the rows into those that must not go together with others, and the others. */
export const partSuspects = (
  { suspects, held }: OwnedLane,
  rows: readonly LaneRow[],
): { alone: LaneRow[]; together: LaneRow[] } => {
  const isSuspect = ({ id }: LaneRow) => rows.length === 1 || suspects.has(id) || held.closedChannel(id)
  return { alone: rows.filter(isSuspect), together: rows.filter((row) => !isSuspect(row)) }
}

const publish = async (
  { session }: OwnedLane,
  channel: ConfirmChannel,
  rows: readonly LaneRow[],
  { link, confirmDeadlineMs, onSend }: PublishMeans,
): Promise<Outcomes> => {
  // An answer tells of the time when it was asked for. So after a read that took long nobody knows, and to give its rows
  // back would bring the same read again.
  if (!session.fresh()) await session.beat()
  const outcomes: Outcomes = new Map()
  const ended = Promise.withResolvers<Outcomes>()
  let heardOf = 0
  const overdue = setInterval(() => {
    // A blocked broker is known to be slow, and its confirms are worth waiting for.
    if (outcomes.size === heardOf && !link.blocked()) {
      channel.abandon(new OutboxError('confirm_overdue', `no confirm within ${confirmDeadlineMs} ms`))
    }
    heardOf = outcomes.size
  }, confirmDeadlineMs)
  let open = 1
  const close = () => {
    open -= 1
    if (open > 0) return
    clearInterval(overdue)
    ended.resolve(outcomes)
  }
  for (const row of rows) {
    // Between this look and the write the process may be frozen; all else that may have happened is seen here.
    if (!session.fresh()) break
    open += 1
    const onEnd = onSend === null ? undefined : callOut(() => tellSend(onSend, row))
    channel.publish(row, (outcome) => {
      if (onEnd !== undefined) callOut(() => onEnd(outcome))
      outcomes.set(row, outcome)
      close()
    })
  }
  close()
  return ended.promise
}
