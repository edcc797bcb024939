import { OutboxError } from '../../errors.ts'
import { isInstance } from '../../values/is-instance.ts'
import { callOut } from '../call-out.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { within } from '../within.ts'
import type { BrokerLink } from './broker-link.ts'
import type { ConfirmChannel } from './confirm-channel.ts'
import type { LaneChannel } from './lane-channel.ts'
import { type OnSend, tellSend } from './on-send.ts'
import type { PublishOutcome } from './outcome.ts'
import type { Turns } from './turns.ts'

export type PublishMeans = { link: BrokerLink; channel: LaneChannel; confirmDeadlineMs: number; onSend: OnSend | null }

export type Outcomes = Map<LaneRow, PublishOutcome>

/** Takes what has ended of rows in flight together while others of them are late, which are not in what is said at the end. */
export type OnLate = (ended: Outcomes) => void

/** How rows that go together go beside others, and whether a single one has been alone on its channel. */
type Beside = { turn?: keyof Turns; onLate?: OnLate | null; isAlone?: () => boolean }

/** For how long rows that are in flight together are waited for before those that have ended are taken, milliseconds. */
const lateMs = 50

/**
 * Publishes rows, all in flight together, and says of each how it ended; rows that were not tried are left out, and those
 * that `onLate` has taken.
 *
 * The broker answers some bad rows (an exchange that is not there, a message too large) by closing the channel, and a few
 * by closing the connection, which leaves everything in flight there unknown and does not say who it was. All of them are
 * suspects from then on, and left out too: how they end is known once each was tried alone. A single row that was alone on
 * its channel is refused at once.
 *
 * @throws OutboxError `session_lost`, or `broker_unavailable` if nothing was published.
 */
export const publishTogether = (
  owned: OwnedLane,
  rows: readonly LaneRow[],
  means: PublishMeans,
  { turn = 'beside', onLate = null, isAlone = () => false }: Beside = {},
): Promise<Outcomes> =>
  means.link.turns[turn](async () => {
    const channel = await means.channel.open()
    if (turn === 'alone') channel.supposeReached()
    const outcomes = await publish(owned, channel, rows, turn === 'alone' ? boundedBy(means) : means, onLate)
    if (turn === 'alone') clearAnswered(owned, outcomes)
    const fault = channel.fault()
    if (fault === null) return outcomes
    const beside = fault.why === 'closed connection' ? 'from other lanes' : 'from its lane'
    for (const [row, outcome] of outcomes) {
      if (outcome.kind !== 'unknown' || outcome.wasReached === true) continue
      if (fault.why === 'closed channel' && isAlone()) {
        outcomes.set(row, { kind: 'refused', ...fault })
        continue
      }
      owned.suspects.set(row.id, turn === 'alone' ? 'from all' : beside)
      outcomes.delete(row)
    }
    return outcomes
  })

/**
 * How long suspects may be without a confirm, milliseconds: nobody else publishes meanwhile. If one of them were to have the
 * channel or the connection closed, it would have been.
 */
const suspectDeadlineMs = 5_000

const boundedBy = (means: PublishMeans): PublishMeans => ({
  ...means,
  confirmDeadlineMs: Math.min(means.confirmDeadlineMs, suspectDeadlineMs),
})

const clearAnswered = ({ suspects }: OwnedLane, outcomes: Outcomes): void => {
  for (const [{ id }, outcome] of outcomes) if (outcome.kind !== 'unknown' || isOverdue(outcome)) suspects.delete(id)
}

/** Its channel and the connection outlived the deadline, so it is not the one that has either closed. */
const isOverdue = ({ cause }: PublishOutcome & { kind: 'unknown' }): boolean =>
  isInstance(cause, OutboxError) && cause.code === 'confirm_overdue'

/**
 * Publishes suspects one at a time, which costs each good one at most one more publish. The row that closes the channel
 * alone is the guilty one: it is refused with what the broker said, and goes alone from then on. If the exchange is not
 * there, so are the others to it, untried: each would cost a channel to hear the same. Other rows that were not tried are
 * left out, and stay suspects.
 *
 * Over which row the broker closed the connection is known only of one that was alone in flight on all of it, so those
 * that are suspected of that hold up all other lanes meanwhile.
 *
 * @throws OutboxError `session_lost`, or `broker_unavailable` or `fence_held` if nothing was published.
 */
export const publishOneByOne = (owned: OwnedLane, rows: readonly LaneRow[], means: PublishMeans): Promise<Outcomes> => {
  const turn = rows.some(({ id }) => meetsNoLane(owned, id)) ? 'alone' : 'beside'
  return means.link.turns[turn](() => publishEach(owned, rows, boundedBy(means), turn))
}

const publishEach = async (
  owned: OwnedLane,
  rows: readonly LaneRow[],
  means: PublishMeans,
  turn: keyof Turns,
): Promise<Outcomes> => {
  const outcomes: Outcomes = new Map()
  /** What became of one to the same exchange, or of one to the same destination, and so would of the next. */
  const missing = new Map<string, PublishOutcome>()
  const late = new Map<string, PublishOutcome>()
  for (const row of rows) {
    const known = missing.get(row.exchange) ?? late.get(nameOfDestination(row))
    if (known !== undefined) {
      outcomes.set(row, known)
      owned.suspects.delete(row.id)
      continue
    }
    const channel = outcomes.size === 0 ? await means.channel.open() : await openOrNull(means.channel)
    if (channel === null) break
    channel.supposeReached()
    const outcome = (await publish(owned, channel, [row], means)).get(row)
    // The lane is lost.
    if (outcome === undefined) break
    const fault = outcome.kind === 'unknown' ? channel.fault() : null
    if (fault === null && outcome.kind === 'unknown') {
      outcomes.set(row, outcome)
      // The link fell: the next row would fare no better.
      if (!isOverdue(outcome)) break
      owned.suspects.delete(row.id)
      late.set(nameOfDestination(row), outcome)
      continue
    }
    // It may have been another lane's row.
    if (fault?.why === 'closed connection' && turn === 'beside') {
      owned.suspects.set(row.id, 'from all')
      break
    }
    const seen: PublishOutcome = fault === null ? outcome : { kind: 'refused', ...fault }
    outcomes.set(row, seen)
    owned.suspects.delete(row.id)
    if (fault?.of === 'exchange') missing.set(row.exchange, seen)
  }
  return outcomes
}

/** Where the channel was given up for want of a confirm, those that were on their way for so long are what it was for. */
const markLate = (outcomes: Outcomes): void => {
  for (const [row, outcome] of outcomes) {
    if (outcome.kind === 'unknown' && isOverdue(outcome)) outcomes.set(row, { ...outcome, isLate: true })
  }
}

const nameOfDestination = ({ exchange, routingKey }: LaneRow): string => JSON.stringify([exchange, routingKey])

/** A link that is gone is not this row's fault; the next read of what is left meets it again and says so. */
const openOrNull = async (channel: LaneChannel): Promise<ConfirmChannel | null> => {
  try {
    return await channel.open()
  } catch (error) {
    if (error instanceof OutboxError) return null
    throw error
  }
}

/** Parts the rows: those that go one by one, those that go together while no other lane's do, and the others. */
export const partSuspects = (
  owned: OwnedLane,
  rows: readonly LaneRow[],
): { alone: LaneRow[]; secluded: LaneRow[]; together: LaneRow[] } => {
  const parts: ReturnType<typeof partSuspects> = { alone: [], secluded: [], together: [] }
  for (const row of rows) parts[partOf(owned, row.id, rows.length === 1)].push(row)
  return parts
}

const partOf = ({ suspects, held }: OwnedLane, id: bigint, isSingle: boolean): 'alone' | 'secluded' | 'together' => {
  const seclusion = suspects.get(id)
  if (seclusion === 'from other lanes' && !isSingle) return 'secluded'
  return seclusion !== undefined || held.closedChannel(id) || held.closedConnection(id) ? 'alone' : 'together'
}

/** Whether it may be the one over which the broker closed the connection. */
const meetsNoLane = ({ suspects, held }: OwnedLane, id: bigint): boolean =>
  (suspects.get(id) ?? 'from its lane') !== 'from its lane' || held.closedConnection(id)

const publish = async (
  { session }: OwnedLane,
  channel: ConfirmChannel,
  rows: readonly LaneRow[],
  { link, channel: laneChannel, confirmDeadlineMs, onSend }: PublishMeans,
  onLate: OnLate | null = null,
): Promise<Outcomes> => {
  // An answer tells of the time when it was asked for. So after a read that took long nobody knows, and to give its rows
  // back would bring the same read again.
  if (!session.fresh()) await session.beat()
  const startedMs = performance.now()
  const outcomes: Outcomes = new Map()
  const ended = Promise.withResolvers<void>()
  const noneExpected = channel.expectConfirms({ deadlineMs: confirmDeadlineMs, isBlocked: link.blocked })
  let open = 1
  const close = () => {
    open -= 1
    if (open > 0) return
    noneExpected()
    ended.resolve()
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
  while (!(await within(lateMs, ended.promise))) {
    if (onLate === null || outcomes.size === 0) continue
    onLate(new Map(outcomes))
    outcomes.clear()
  }
  if (performance.now() - startedMs >= confirmDeadlineMs / 2) markLate(outcomes)
  // It would be blamed on whoever is alone next if the connection were closed over what is on its way still.
  if (channel.closed()) await laneChannel.clear()
  return outcomes
}
