import { type Drain, drain } from './drain.ts'
import type { BenchOptions } from './options.ts'
import { profileDrain } from './profile/profile-drain.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import type { Place } from './services/open-place.ts'

const usualRows = 200_000
const holdToRaw = 0.8
const holdToBare = 0.95

/**
 * How fast does one relay carry a backlog to a quorum queue, beside a raw confirm channel and a bare loop with the same
 * window? Each runs in a process of its own, one after the other.
 */
export const benchRelay = async (place: Place, options: BenchOptions): Promise<Report> => {
  const { window, rounds } = options
  const rows = options.rows ?? usualRows
  const programs = ['raw', 'relay', 'bare'] as const
  const drains: Record<(typeof programs)[number], Drain[]> = { raw: [], relay: [], bare: [] }
  for (let turn = 0; turn < rounds; turn++) {
    // Another one begins each time, so that none is always the one after a pause.
    const order = programs.map((_, index) => programs[(index + turn) % programs.length] ?? 'raw')
    for (const program of order) drains[program].push(await drain(program, place, { rows, window }))
  }
  const ratesOf = (program: keyof typeof drains) => drains[program].map(({ perSecond }) => perSecond)
  const cpuOf = (program: keyof typeof drains) => median(drains[program].map(({ cpuUsPerRow }) => cpuUsPerRow))
  /** The CPU that a row took: of the program, of Postgres and of RabbitMQ, microseconds. */
  const costs = (program: keyof typeof drains) => [
    round(cpuOf(program), 1),
    medianOfKnown(drains[program].map(({ postgresUsPerRow }) => postgresUsPerRow)),
    medianOfKnown(drains[program].map(({ rabbitmqUsPerRow }) => rabbitmqUsPerRow)),
  ]
  const [ours, raw, bare] = [median(ratesOf('relay')), median(ratesOf('raw')), median(ratesOf('bare'))]
  const toRaw = ratioByRound(ratesOf('relay'), ratesOf('raw'))
  const toBare = ratioByRound(ratesOf('relay'), ratesOf('bare'))
  const profile = options.profile ? await profileDrain(place, { rows, window }) : null
  return {
    table:
      table(
        ['what', 'rows/s', 'CPU us/row', 'Postgres us/row', 'RabbitMQ us/row', 'ours to it', 'to hold'],
        [
          ['one relay', round(ours), ...costs('relay'), null, null],
          ['raw confirm channel', round(raw), ...costs('raw'), round(toRaw, 2), holdToRaw],
          ['bare loop', round(bare), ...costs('bare'), round(toBare, 2), holdToBare],
        ],
      ) + (profile === null ? '' : `\n${profile}`),
    verdict: {
      ours: round(ours),
      control: round(raw),
      ratio: round(toRaw, 3),
      hold: holdToRaw,
      held: toRaw >= holdToRaw && toBare >= holdToBare,
      bare: round(bare),
      ratioToBare: round(toBare, 3),
      holdToBare,
      cpuUsPerRow: { ours: round(cpuOf('relay'), 1), raw: round(cpuOf('raw'), 1), bare: round(cpuOf('bare'), 1) },
      rows,
      window,
      rounds,
      byRound: Object.fromEntries(programs.map((program) => [program, ratesOf(program).map((rate) => round(rate))])),
    },
  }
}

/** Null where a round has none. */
const medianOfKnown = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null)
  return known.length < values.length ? null : round(median(known), 1)
}
