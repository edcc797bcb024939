import { runChild } from './children/start-child.ts'
import type { BenchOptions } from './options.ts'
import { median, round } from './report/statistics.ts'
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

type Drain = { perSecond: number; peaksMiB: [number, number] }

/**
 * Does a backlog slow a relay down, or make it grow? A large one beside one of 200,000 rows: the rate, and the peaks of
 * resident memory in the first and in the second half of the large one. The queue is emptied all the time, so that it is
 * as long for both.
 */
export const benchBacklog = async (place: Place, options: BenchOptions): Promise<Report> => {
  const rows = options.rows ?? (options.full ? allRows : usualRows)
  const stopPurging = keepQueueShort(place)
  const [small, large]: [Drain[], Drain[]] = [[], []]
  for (let turn = 0; turn < options.rounds; turn++) {
    small.push(await drainBacklog(place, smallRows, options))
    large.push(await drainBacklog(place, rows, options))
  }
  await stopPurging()
  const rateOf = (drains: readonly Drain[]) => median(drains.map(({ perSecond }) => perSecond))
  const peakOf = (drains: readonly Drain[], half: 0 | 1) => median(drains.map(({ peaksMiB }) => peaksMiB[half]))
  const ratio = rateOf(large) / rateOf(small)
  const growth = peakOf(large, 1) / peakOf(large, 0)
  const row = (count: number, drains: readonly Drain[]) =>
    [count, round(rateOf(drains)), round(peakOf(drains, 0)), round(peakOf(drains, 1))] as const
  return {
    table: table(
      ['rows waiting', 'rows/s', 'peak MiB, first half', 'second half'],
      [row(smallRows, small), row(rows, large)],
    ),
    verdict: {
      ours: round(rateOf(large)),
      control: round(rateOf(small)),
      ratio: round(ratio, 3),
      hold,
      held: ratio >= hold && growth <= flat,
      peakFirstHalfMiB: round(peakOf(large, 0)),
      peakSecondHalfMiB: round(peakOf(large, 1)),
      holdGrowth: flat,
      rows,
      window: options.window,
      rounds: options.rounds,
    },
  }
}

const drainBacklog = async (place: Place, rows: number, { window }: BenchOptions): Promise<Drain> => {
  await place.db.query('truncate outbox_message')
  await fillLane(place, rows)
  const { ms, progress } = await runChild('relay', place, { rows, window })
  await expectEmptyLane(place)
  const peakMiB = (half: typeof progress) => Math.max(...half.map(({ rss }) => rss)) / 1_024 ** 2
  const working = progress.filter((one) => one.rows > 0)
  const isFirstHalf = (one: { rows: number }) => one.rows < rows / 2
  return {
    perSecond: (rows / ms) * 1_000,
    peaksMiB: [peakMiB(working.filter(isFirstHalf)), peakMiB(working.filter((one) => !isFirstHalf(one)))],
  }
}
