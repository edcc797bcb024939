import { OutboxError } from '../../errors.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import { type LaneRow, nameOfDestination } from '../read/lane-row.ts'
import type { ConfirmChannel } from './confirm-channel.ts'
import { expectAnswer } from './expect-answer.ts'
import type { LaneChannel } from './lane-channel.ts'
import type { PublishOutcome } from './outcome.ts'
import { isOverdue, type Outcomes, type PublishMeans, sendRows } from './send-rows.ts'
import type { Turns } from './turns.ts'

/**
 * How long suspects may be without a confirm, milliseconds: nobody else publishes meanwhile. If one of them were to have the
 * channel or the connection closed, it would have been.
 */
const suspectDeadlineMs = 5_000

export const boundedBy = (means: PublishMeans): PublishMeans => ({
  ...means,
  confirmDeadlineMs: Math.min(means.confirmDeadlineMs, suspectDeadlineMs),
})

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

/**
 * Publishes suspects one at a time, which costs each good one at most one more publish. The row that closes the channel
 * alone is the guilty one: it is refused with what the broker said, and goes alone from then on. If the exchange is not
 * there, so are the others to it, untried: each would cost a channel to hear the same. Other rows that were not tried are
 * left out, and stay suspects.
 *
 * Over which row the broker closed the connection is known only of one that was alone in flight on all of it, so those
 * that are suspected of that hold up all other lanes meanwhile. It is blamed only where the broker has answered a message just before.
 *
 * @throws OutboxError `session_lost`, or `broker_unavailable`, `broker_lost` or `fence_held` if nothing was published.
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
  if (turn === 'alone') await expectAnswer(owned, await means.channel.open(), means)
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
    const outcome = (await sendRows(owned, channel, [row], means)).get(row)
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

/** A link that is gone is not this row's fault; the next read of what is left meets it again and says so. */
const openOrNull = async (channel: LaneChannel): Promise<ConfirmChannel | null> => {
  try {
    return await channel.open()
  } catch (error) {
    if (error instanceof OutboxError) return null
    throw error
  }
}
