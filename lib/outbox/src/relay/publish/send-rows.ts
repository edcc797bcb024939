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

export type PublishMeans = { link: BrokerLink; channel: LaneChannel; confirmDeadlineMs: number; onSend: OnSend | null }

export type Outcomes = Map<LaneRow, PublishOutcome>

/** Takes what has ended of rows in flight together while others of them are late, which are not in what is said at the end. */
export type OnLate = (ended: Outcomes) => void

/** For how long rows that are in flight together are waited for before those that have ended are taken, milliseconds. */
const lateMs = 50

/**
 * Sends rows by `channel`, all in flight together, and waits for how each ends; those that were not sent, as the session
 * may be lost, are left out, and those that `onLate` has taken.
 */
export const sendRows = async (
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

/** Where the channel was given up for want of a confirm, those that were on their way for so long are what it was for. */
const markLate = (outcomes: Outcomes): void => {
  for (const [row, outcome] of outcomes) {
    if (outcome.kind === 'unknown' && isOverdue(outcome)) outcomes.set(row, { ...outcome, isLate: true })
  }
}

/** Its channel and the connection outlived the deadline, so it is not the one that has either closed. */
export const isOverdue = ({ cause }: PublishOutcome & { kind: 'unknown' }): boolean =>
  isInstance(cause, OutboxError) && cause.code === 'confirm_overdue'
