import { type Program, runChild } from './children/start-child.ts'
import type { BenchOptions } from './options.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import { fillLane } from './services/fill-lane.ts'
import type { Place } from './services/open-place.ts'
import { expectEmptyLane, keepQueueShort } from './services/watch-queue.ts'

const hold = 0.9
const smallRows = 200_000
const usualRows = 1_000_000
const allRows = 5_000_000
/** Memory is flat when its peak in the second half of a drain is at most so many times that of the first half. */
const flat = 1.1

/** A drain of one program; the progress is empty where the program tells none. */
type Drain = { rows: number; perSecond: number; progress: { rows: number; rss: number }[] }
/** By round: one of the small backlog, and one of the large. */
type Drains = { small: Drain[]; large: Drain[] }

/**
 * Does a backlog slow a relay down, or make it grow? A large one beside one of 200,000 rows: the rate, and the peaks of
 * resident memory in the first and in the second half of the large one. The queue is emptied all the time, so that it is
 * as long for both. The bare loop and the raw channel carry the same two, which tells what the servers take more of the
 * large one, and what RabbitMQ does alone.
 */
export const benchBacklog = async (place: Place, options: BenchOptions): Promise<Report> => {
  const rows = options.rows ?? (options.full ? allRows : usualRows)
  const stopPurging = keepQueueShort(place)
  const drains: Record<Program, Drains> = {
    relay: { small: [], large: [] },
    bare: { small: [], large: [] },
    raw: { small: [], large: [] },
  }
  for (let turn = 0; turn < options.rounds; turn++) {
    for (const program of ['relay', 'bare', 'raw'] as const) {
      drains[program].small.push(await drainBacklog(program, place, smallRows, options))
      drains[program].large.push(await drainBacklog(program, place, rows, options))
    }
  }
  await stopPurging()
  const { relay, bare, raw } = drains
  const ratio = ratioToSmall(relay)
  const peaksMiB = ([0, 1] as const).map((half) => median(relay.large.map((drain) => peakMiB(drain, half))))
  const [firstHalf = Number.NaN, secondHalf = Number.NaN] = peaksMiB
  const row = (what: string, { small, large }: Drains) =>
    [what, round(rateOf(small)), round(rateOf(large)), round(ratioToSmall({ small, large }), 2)] as const
  return {
    table: table(
      ['what', 'rows/s, small', 'large', 'large to small', 'to hold', 'peak MiB, first half', 'second half'],
      [
        [...row('one relay', relay), hold, round(firstHalf), round(secondHalf)],
        [...row('bare loop', bare), null, null, null],
        [...row('raw confirm channel', raw), null, null, null],
      ],
    ),
    verdict: {
      ours: round(rateOf(relay.large)),
      control: round(rateOf(relay.small)),
      ratio: round(ratio, 3),
      hold,
      held: ratio >= hold && secondHalf / firstHalf <= flat,
      ratioOfBare: round(ratioToSmall(bare), 3),
      ratioOfRaw: round(ratioToSmall(raw), 3),
      peakFirstHalfMiB: round(firstHalf),
      peakSecondHalfMiB: round(secondHalf),
      holdGrowth: flat,
      rows,
      window: options.window,
      rounds: options.rounds,
    },
  }
}

const ratesOf = (drains: readonly Drain[]) => drains.map(({ perSecond }) => perSecond)
const rateOf = (drains: readonly Drain[]) => median(ratesOf(drains))
const ratioToSmall = ({ small, large }: Drains) => ratioByRound(ratesOf(large), ratesOf(small))

/** The highest resident memory that the program told while it worked in the first half of its rows, or in the second. */
const peakMiB = ({ rows, progress }: Drain, half: 0 | 1) => {
  const inHalf = progress.filter((one) => one.rows > 0 && Math.floor(one.rows / (rows / 2)) === half)
  return Math.max(...inHalf.map(({ rss }) => rss)) / 1_024 ** 2
}

const drainBacklog = async (program: Program, place: Place, rows: number, { window }: BenchOptions): Promise<Drain> => {
  await place.db.query('truncate outbox_message')
  await fillLane(place, program === 'raw' ? 0 : rows)
  const { ms, progress } = await runChild(program, place, { rows, window })
  await expectEmptyLane(place)
  return { rows, perSecond: (rows / ms) * 1_000, progress }
}
