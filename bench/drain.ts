import { type Program, runChild, type Work } from './children/start-child.ts'
import { fillLane, type Others } from './services/fill-lane.ts'
import type { Place } from './services/open-place.ts'
import { readServers, timesBetween } from './services/server-times.ts'
import { expectEmptyLane, expectMessages } from './services/watch-queue.ts'

/**
 * One drain: rows or messages per second, and microseconds of CPU per row, the process's own and those of the servers, which
 * are null where none of a server's processes is on this machine.
 */
export type Drain = {
  perSecond: number
  cpuUsPerRow: number
  postgresUsPerRow: number | null
  rabbitmqUsPerRow: number | null
}

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
  const before = await readServers(place)
  const { ms, cpuUs } = await runChild(program, place, work)
  const servers = timesBetween(before, await readServers(place))
  await expectMessages(place, rows)
  await expectEmptyLane(place)
  const usPerRowOf = (server: string): number | null => {
    const times = [...servers].flatMap(([name, us]) => (name.startsWith(server) ? [us] : []))
    return times.length === 0 ? null : times.reduce((sum, us) => sum + us) / rows
  }
  return {
    perSecond: (rows / ms) * 1_000,
    cpuUsPerRow: cpuUs / rows,
    postgresUsPerRow: usPerRowOf('Postgres'),
    rabbitmqUsPerRow: usPerRowOf('RabbitMQ'),
  }
}
