import { setTimeout as delay } from 'node:timers/promises'
import { defaultWindow } from '@esteira/workflow'
import * as z from 'zod'
import { noOpName } from './children/job-messages.ts'
import { startWorkerChild } from './children/start-worker-child.ts'
import type { BenchOptions } from './options.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import { openNoOpRuns } from './services/no-op-runs.ts'
import type { Place } from './services/open-place.ts'
import { startSidecar } from './services/start-sidecar.ts'

const usualJobs = 40_000
const workers = 8
const hold = 0.9
const patienceMs = 300_000

/**
 * Does the lock on a run's counters keep workers from working side by side? Eight of them, with one relay, carry jobs
 * that do nothing, and every group of jobs that one of them commits takes the lock of its run and step. All jobs are of
 * one run; in the control each worker's share is a run of its own. Counted from the first job's end to the last one's, by
 * the database's clock.
 */
export const benchOneRun = async (place: Place, { rows, rounds }: BenchOptions): Promise<Report> => {
  const jobs = rows ?? usualJobs
  const runs = await openNoOpRuns(place)
  const task = { databaseUrl: place.databaseUrl, rabbitmqUrl: place.rabbitmqUrl, lane: place.lane.name }
  const children = await Promise.all(
    Array.from({ length: workers }, () =>
      startWorkerChild('no-op', { ...task, functionName: noOpName, window: defaultWindow }),
    ),
  )
  const rateOf = async (runsAtOnce: number): Promise<number> => {
    for (let run = 0; run < runsAtOnce; run += 1) await runs.beginMany(jobs / runsAtOnce)
    await place.db.query('vacuum analyze')
    await place.admin.query('checkpoint')
    const relay = startSidecar(place)
    const seconds = await secondsOf(place, jobs)
    await relay.end('SIGTERM')
    await place.db.query('truncate workflow_run cascade')
    return jobs / seconds
  }
  const rates: Record<'one' | 'many', number[]> = { one: [], many: [] }
  try {
    // What is warmed up by the first turn would else be the control's gain.
    await rateOf(workers)
    for (let turn = 0; turn < rounds; turn += 1) {
      const order = turn % 2 === 0 ? (['one', 'many'] as const) : (['many', 'one'] as const)
      for (const side of order) rates[side].push(await rateOf(side === 'one' ? 1 : workers))
    }
  } finally {
    await Promise.all(children.map((child) => child.stop()))
    await runs.close()
    await place.channel.deleteQueue(noOpName)
  }
  const ratio = ratioByRound(rates.one, rates.many)
  return {
    table: table(
      [`${workers} workers`, 'jobs/s', 'ours to it'],
      [
        ['all jobs of one run', round(median(rates.one)), null],
        [`of ${workers} runs`, round(median(rates.many)), round(ratio, 2)],
      ],
    ),
    verdict: {
      ours: round(median(rates.one)),
      control: round(median(rates.many)),
      ratio: round(ratio, 3),
      hold,
      held: ratio >= hold,
      workers,
      jobs,
      rounds,
      byRound: { one: rates.one.map((rate) => round(rate)), many: rates.many.map((rate) => round(rate)) },
    },
  }
}

const secondsRows = z.tuple([z.object({ jobs: z.int(), open: z.int(), seconds: z.number().nullable() })])

/** Waits until all runs are over, and gives how long it took from the first job's end to the last one's. */
const secondsOf = async ({ db }: Place, jobs: number): Promise<number> => {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const { rows } = await db.query(
      `select count(*)::int as jobs, (select count(*)::int from workflow_run where finished_at is null) as open,
              extract(epoch from max(finished_at) - min(finished_at))::float8 as seconds
       from workflow_job where parent_id is not null and status = 'succeeded'`,
    )
    const [done] = secondsRows.parse(rows)
    if (done.jobs === jobs && done.open === 0 && done.seconds !== null) return done.seconds
    if (performance.now() > deadline) throw new Error(`${done.jobs} of ${jobs} jobs have succeeded`)
    await delay(500)
  }
}
