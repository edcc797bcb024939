import { type Program, runChild, type Work } from './children/start-child.ts'
import { fillLane, type Others } from './services/fill-lane.ts'
import type { Place } from './services/open-place.ts'
import { expectEmptyLane, expectMessages } from './services/watch-queue.ts'

/** One drain: rows or messages per second, and microseconds of the process's own CPU per row. */
export type Drain = { perSecond: number; cpuUsPerRow: number }

/**
 * Lets a program carry so many rows into the empty queue, and checks that just these arrived and none is left. The raw
 * channel reads no rows, so none are written for it.
 */
export const drain = async (
  program: Program,
  place: Place,
  { others, ...work }: Work & { rows: number; others?: Others },
): Promise<Drain> => {
  const { rows } = work
  await place.channel.purgeQueue(place.queue)
  await fillLane(place, program === 'raw' ? 0 : rows, others)
  const { ms, cpuUs } = await runChild(program, place, work)
  await expectMessages(place, rows)
  await expectEmptyLane(place)
  return { perSecond: (rows / ms) * 1_000, cpuUsPerRow: cpuUs / rows }
}
