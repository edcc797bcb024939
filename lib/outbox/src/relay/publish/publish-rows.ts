import type { OwnedLane } from '../lane/owned-lane.ts'
import type { LaneRow } from '../read/lane-row.ts'
import { boundedBy } from './publish-suspects.ts'
import { isOverdue, type OnLate, type Outcomes, type PublishMeans, sendRows } from './send-rows.ts'
import type { Turns } from './turns.ts'

/** How rows that go together go beside others, and whether a single one has been alone on its channel. */
type Beside = { turn?: keyof Turns; onLate?: OnLate | null; isAlone?: () => boolean }

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
    const outcomes = await sendRows(owned, channel, rows, turn === 'alone' ? boundedBy(means) : means, onLate)
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

const clearAnswered = ({ suspects }: OwnedLane, outcomes: Outcomes): void => {
  for (const [{ id }, outcome] of outcomes) if (outcome.kind !== 'unknown' || isOverdue(outcome)) suspects.delete(id)
}
