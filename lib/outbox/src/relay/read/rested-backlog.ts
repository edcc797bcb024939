import type { OwnedLane } from '../lane/owned-lane.ts'
import type { ControlSession } from '../own/control-session.ts'
import { type LaneBacklog, measureBacklog } from './measure-backlog.ts'

/** Measures what waits in the lanes, or gives the last answer again. */
export type RestedBacklog = (session: ControlSession, lanes: readonly OwnedLane[]) => Promise<LaneBacklog[]>

/** A measure rests so many times as long as it took: it has a twentieth of the session, which all lanes wait for. */
const restPart = 20

/** One that was quicker holds up nobody, and does not rest, milliseconds. */
const longMs = 200

/** No measure rests longer, milliseconds: it may have been slow by chance. */
const mostRestMs = 300_000

/**
 * Whoever asks for metrics does so again and again. Where one old row waits, and somebody's snapshot is open, each measure
 * passes all that was published since: a second a million. Then the last answer is given until it has rested.
 */
export const createRestedBacklog = (
  measure: RestedBacklog = measureBacklog,
  now = () => performance.now(),
): RestedBacklog => {
  let last: { session: ControlSession; answer: LaneBacklog[]; untilMs: number } | null = null
  return async (session, lanes) => {
    if (last !== null && last.session === session && now() < last.untilMs) return last.answer
    const startedMs = now()
    const answer = await measure(session, lanes)
    const ms = now() - startedMs
    last = { session, answer, untilMs: now() + (ms < longMs ? 0 : Math.min(mostRestMs, restPart * ms)) }
    return answer
  }
}
