import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { defaultWindow, openOrm, openRun, releaseWaitingJobs } from '@esteira/workflow'
import * as z from 'zod'
import { startWorkerChild } from './children/start-worker-child.ts'
import type { BenchOptions } from './options.ts'
import { percentile, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import type { Place } from './services/open-place.ts'
import { type OneStep, saveOneStep, seedRun } from './services/seed-run.ts'
import { startSidecar } from './services/start-sidecar.ts'

const holdP95Ms = 5_000
const itemsForALook = 100_000
const itemsInFull = 1_000_000
const alone = 40
const shortestGapMs = 100
const longestGapMs = 300
/** As often as the control plane sweeps. */
const sweepMs = 1_000
const patienceMs = 60_000

/**
 * How long does a run of one job take while a run with very many jobs of the same function is under way? From the
 * commit that begins it until it is ended, by the database's clock; one worker whose function does nothing, and one
 * relay whose lane they all share. The control is the same with nothing else to do.
 */
export const benchFair = async (place: Place, { rows, rounds, full }: BenchOptions): Promise<Report> => {
  const items = rows ?? (full ? itemsInFull : itemsForALook)
  const orm = openOrm({ databaseUrl: place.databaseUrl, poolSize: 4, applicationName: 'bench' })
  // The worker declares its queue, otherwise than the place does.
  const functionName = `${place.queue}.no-op`
  const relay = startSidecar(place)
  const worker = await startWorkerChild('no-op', {
    databaseUrl: place.databaseUrl,
    rabbitmqUrl: place.rabbitmqUrl,
    lane: place.lane.name,
    functionName,
    window: defaultWindow,
  })
  try {
    const [small, large] = [await saveOneStep(place, functionName), await saveOneStep(place, functionName)]
    const begin = async (): Promise<string> => {
      const { runId } = await openRun(orm.em.fork(), {
        workflow: small,
        stepId: small.stepId,
        trigger: 'manual',
        idempotencyKey: randomUUID(),
        payload: null,
        lane: place.lane.id,
        worker: 'bench',
      })
      await delay(shortestGapMs + Math.random() * (longestGapMs - shortestGapMs))
      return runId
    }
    const sweep = () => releaseWaitingJobs(orm.em.fork(), { lane: place.lane.id })

    const ms: Record<'idle' | 'during', number[]> = { idle: [], during: [] }
    const rates: number[] = []
    for (let turn = 0; turn < rounds; turn += 1) {
      const idle: string[] = []
      for (let sample = 0; sample < alone; sample += 1) idle.push(await begin())
      ms.idle.push(...(await endsOf(place, small, idle)))

      const run = await seedRun(place, large, items)
      const startedMs = performance.now()
      let sweptMs = -sweepMs
      const during: string[] = []
      while (await isOpen(place, run)) {
        if (performance.now() - sweptMs > sweepMs) {
          sweptMs = performance.now()
          await sweep()
        }
        during.push(await begin())
      }
      rates.push(items / ((performance.now() - startedMs) / 1_000))
      ms.during.push(...(await endsOf(place, small, during)))
      await expectAllDone(place, run, items)
    }
    return report(ms, rates, { items, rounds })
  } finally {
    await worker.stop()
    await relay.end('SIGTERM')
    await place.channel.deleteQueue(functionName)
    await orm.close()
  }
}

const report = (
  ms: Record<'idle' | 'during', number[]>,
  rates: readonly number[],
  { items, rounds }: { items: number; rounds: number },
): Report => {
  const [p95, idleP95] = [percentile(ms.during, 0.95), percentile(ms.idle, 0.95)]
  return {
    table: table(
      ['milliseconds', 'runs', 'p50', 'p95', 'most'],
      [
        row(`during a run of ${items.toLocaleString('en-US')} jobs`, ms.during),
        row('with nothing else to do', ms.idle),
        ['to hold, first row', null, null, holdP95Ms, null],
      ],
    ),
    verdict: {
      ours: round(p95),
      control: round(idleP95),
      ratio: round(p95 / idleP95, 2),
      hold: holdP95Ms,
      held: p95 <= holdP95Ms,
      mostMs: round(Math.max(...ms.during)),
      jobsPerSecond: rates.map((rate) => round(rate)),
      window: defaultWindow,
      items,
      samples: ms.during.length,
      rounds,
    },
  }
}

const row = (what: string, values: readonly number[]): (string | number)[] => [
  what,
  values.length,
  ...[0.5, 0.95, 1].map((share) => round(percentile(values, share))),
]

/** Waits until the runs are over, and gives how long each took, milliseconds. */
const endsOf = async ({ db }: Place, { id }: OneStep, runs: readonly string[]): Promise<number[]> => {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const { rows } = await db.query(
      `select (extract(epoch from finished_at - created_at) * 1000)::float8 as ms from workflow_run
       where workflow_id = $1 and id = any ($2::uuid[]) and status = 'succeeded'`,
      [id, runs],
    )
    const ends = endRows.parse(rows)
    if (ends.length === runs.length) return ends.map(({ ms }) => ms)
    if (performance.now() > deadline) throw new Error(`${runs.length - ends.length} runs of one job are not through`)
    await delay(50)
  }
}

const isOpen = async ({ db }: Place, run: string): Promise<boolean> => {
  const { rowCount } = await db.query(`select from workflow_run where id = $1 and finished_at is null`, [run])
  return rowCount === 1
}

/** Throws unless every job has succeeded: a rate at which jobs are lost is no answer. */
const expectAllDone = async ({ db }: Place, run: string, items: number): Promise<void> => {
  const { rows } = await db.query(
    `select count(*)::int as jobs from workflow_job where run_id = $1 and status = 'succeeded'`,
    [run],
  )
  const [{ jobs }] = z.tuple([z.object({ jobs: z.int() })]).parse(rows)
  if (jobs !== items) throw new Error(`${jobs} jobs of ${items} have succeeded`)
}

const endRows = z.array(z.object({ ms: z.number() }))
