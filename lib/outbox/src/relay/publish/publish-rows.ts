import { OutboxError } from '../../errors.ts'
import type { LaneRow } from '../read/lane-row.ts'
import type { BrokerLink } from './broker-link.ts'
import type { ConfirmChannel } from './confirm-channel.ts'
import type { PublishOutcome } from './outcome.ts'

type PublishMeans = {
  link: BrokerLink
  confirmDeadlineMs: number
  /** Aborted when the lane is lost: nothing new goes out from then on. */
  lost: AbortSignal
  /** Rows that made the broker close the channel before. */
  isSuspect: (row: LaneRow) => boolean
}

/**
 * Publishes rows, all in flight together, and says of each how it ended; rows that were not tried are left out.
 *
 * The broker answers some bad rows (an exchange that is not there, a message too large) by closing the channel, which
 * leaves everything in flight unknown and does not say who it was. So those rows go again one at a time, which costs
 * each good one at most one more publish, and the row that closes the channel alone is the guilty one. It goes alone
 * from then on.
 *
 * @throws OutboxError `broker_unavailable`, if nothing was published.
 */
export const publishRows = async (
  rows: readonly LaneRow[],
  means: PublishMeans,
): Promise<Map<LaneRow, PublishOutcome>> => {
  const [suspects, others] = partition(rows, means.isSuspect)
  const channel = await means.link.channel()
  // A row that goes alone shows at once whether it is the guilty one.
  const [alone, together] = others.length === 1 ? [[...others, ...suspects], []] : [suspects, others]
  const outcomes = await publishTogether(channel, together, means)
  if (channel.fault() !== null) {
    alone.unshift(...together.filter((row) => outcomes.get(row)?.kind === 'unknown'))
  }
  await publishOneByOne(alone, means, outcomes)
  return outcomes
}

const partition = (rows: readonly LaneRow[], isFirst: (row: LaneRow) => boolean): [LaneRow[], LaneRow[]] => [
  rows.filter(isFirst),
  rows.filter((row) => !isFirst(row)),
]

const publishTogether = async (
  channel: ConfirmChannel,
  rows: readonly LaneRow[],
  { link, confirmDeadlineMs, lost }: PublishMeans,
): Promise<Map<LaneRow, PublishOutcome>> => {
  if (lost.aborted) return new Map()
  const overdue = setInterval(() => {
    // A blocked broker is known to be slow, and its confirms are worth waiting for.
    if (link.blocked()) return
    channel.abandon(new OutboxError('confirm_overdue', `no confirm within ${confirmDeadlineMs} ms`))
  }, confirmDeadlineMs)
  try {
    const outcomes = await Promise.all(rows.map((row) => channel.publish(row)))
    return new Map(rows.flatMap((row, index) => pair(row, outcomes[index])))
  } finally {
    clearInterval(overdue)
  }
}

const pair = (row: LaneRow, outcome: PublishOutcome | undefined): [LaneRow, PublishOutcome][] =>
  outcome === undefined ? [] : [[row, outcome]]

const publishOneByOne = async (
  rows: readonly LaneRow[],
  means: PublishMeans,
  outcomes: Map<LaneRow, PublishOutcome>,
): Promise<void> => {
  for (const row of rows) {
    if (means.lost.aborted) return
    const channel = await channelOf(means.link)
    if (channel === null) return
    const outcome = (await publishTogether(channel, [row], means)).get(row)
    if (outcome === undefined) return
    const reason = channel.fault()
    outcomes.set(row, reason === null ? outcome : { kind: 'refused', reason, closedChannel: true })
    // The link fell, or confirms do not come: the next row would fare no better.
    if (reason === null && outcome.kind === 'unknown') return
  }
}

/** A link that is gone is not this row's fault; the next turn meets it again and says so. */
const channelOf = async (link: BrokerLink): Promise<ConfirmChannel | null> => {
  try {
    return await link.channel()
  } catch (error) {
    if (error instanceof OutboxError) return null
    throw error
  }
}
