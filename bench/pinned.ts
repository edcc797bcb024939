import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { startChild } from './children/start-child.ts'
import type { BenchOptions } from './options.ts'
import { median, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import { insertRows } from './services/fill-lane.ts'
import type { Place } from './services/open-place.ts'
import { keepQueueShort } from './services/watch-queue.ts'

const hold = 0.9
const windowMs = 8_000
/** Five of them are the 40 s within which a drain with SKIP LOCKED falls to a third and less. */
const windows = 5
const rowsAtATime = 500
/** The writer rests while the relay is so many rows behind: it is to drain, not to drown. */
const mostWaiting = 10_000

/** What another session has open meanwhile: nothing, a snapshot, or one and a row that it wrote into another table. */
const states = ['free', 'pinned', 'written'] as const
type State = (typeof states)[number]

/**
 * Does a drain suffer from a snapshot that another session holds? Deleted rows stay where they are then, and whoever
 * reads from the head of the table passes all of them each time. A relay drains for 40 s what a writer inserts, with a
 * repeatable-read transaction open, with one that has written something, and without.
 */
export const benchPinned = async (place: Place, options: BenchOptions): Promise<Report> => {
  const rates: Record<State, number[][]> = { free: [], pinned: [], written: [] }
  await place.db.query('create table if not exists pinned_bench (name text)')
  for (let turn = 0; turn < options.rounds; turn++) {
    for (const state of turn % 2 === 0 ? states : states.toReversed()) {
      await place.db.query('truncate outbox_message')
      const pin = state === 'free' ? null : await pinSnapshot(place)
      if (state === 'written') await pin?.query(`insert into pinned_bench values ('written')`)
      rates[state].push(await drainWhileWriting(place, options))
      await pin?.end()
    }
  }
  await place.db.query('drop table pinned_bench')
  const byWindow = (state: State) =>
    Array.from({ length: windows }, (_, index) => round(median(rates[state].map((rate) => rate[index] ?? 0))))
  const [free, pinned, written] = [byWindow('free'), byWindow('pinned'), byWindow('written')]
  const figuresOf = (beside: number[]) => ({
    ours: median(beside),
    ratio: round(median(beside) / median(free), 3),
    flatness: round(trendOf(beside) / trendOf(free), 3),
    byWindow: beside,
  })
  const figures = { pinned: figuresOf(pinned), written: figuresOf(written) }
  const lower = figures.pinned.ratio < figures.written.ratio ? figures.pinned : figures.written
  return {
    table: table(
      [
        'a snapshot is',
        ...free.map((_, index) => `${(index * windowMs) / 1_000}-${((index + 1) * windowMs) / 1_000} s`),
      ],
      [
        ['not pinned, rows/s', ...free],
        ['pinned, rows/s', ...pinned],
        ['by one that has written, rows/s', ...written],
      ],
    ),
    verdict: {
      ours: lower.ours,
      control: median(free),
      ratio: lower.ratio,
      hold,
      held: Object.values(figures).every(({ ratio, flatness }) => ratio >= hold && flatness >= hold),
      ...figures,
      freeByWindow: free,
      window: options.window,
      rounds: options.rounds,
    },
  }
}

/** The last two windows to the first two. Beside that of the control, a machine that slows down for both is no fall. */
const trendOf = (rates: readonly number[]): number => sumOf(rates.slice(-2)) / sumOf(rates.slice(0, 2))

const sumOf = (rates: readonly number[]): number => rates.reduce((total, rate) => total + rate, 0)

/** A session with a transaction whose snapshot every row deleted from now on must be kept for. */
const pinSnapshot = async ({ databaseUrl }: Place): Promise<pg.Client> => {
  const client = new pg.Client(databaseUrl)
  await client.connect()
  await client.query('begin isolation level repeatable read')
  await client.query('select from outbox_message limit 1')
  return client
}

/** Rows per second in each window of time. */
const drainWhileWriting = async (place: Place, { window }: BenchOptions): Promise<number[]> => {
  const relay = startChild('relay', place, { rows: null, window })
  const stopPurging = keepQueueShort(place)
  const drained = () => relay.progress.at(-1)?.rows ?? 0
  const over = new AbortController()
  const write = async () => {
    for (let written = 0; !over.signal.aborted;) {
      if (written - drained() < mostWaiting) {
        await insertRows(place, rowsAtATime)
        written += rowsAtATime
      } else {
        await delay(5)
      }
    }
  }
  const writing = write()
  while (drained() === 0) await delay(20)
  const rates: number[] = []
  for (let index = 0; index < windows; index++) {
    const [before, startedMs] = [drained(), performance.now()]
    await delay(windowMs)
    rates.push(((drained() - before) / (performance.now() - startedMs)) * 1_000)
  }
  over.abort()
  await writing
  await relay.stop()
  await stopPurging()
  return rates
}
