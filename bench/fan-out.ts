import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { openOrm, openRun, releaseWaitingJobs } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import * as z from 'zod'
import type { FanOutTask } from './children/fan-out/task.ts'
import { startWorkerChild } from './children/start-worker-child.ts'
import type { BenchOptions } from './options.ts'
import { profileWork } from './profile/profile-drain.ts'
import { median, ratioByRound, round } from './report/statistics.ts'
import { table } from './report/table.ts'
import type { Report } from './report/verdict.ts'
import type { Place } from './services/open-place.ts'
import { readProcess } from './services/read-process.ts'
import { saveFanOut, type TwoSteps } from './services/save-fan-out.ts'
import { startSidecar } from './services/start-sidecar.ts'

const holdPerSecond = 20_000
const holdRssMiB = 250
const itemsForALook = 100_000
const itemsInFull = 1_000_000
/** As often as the control plane sweeps. */
const sweepMs = 1_000
const sampleMs = 100
/** The bare control writes as many rows at once as a page has. */
const pageItems = 2_000

type Turn = {
  perSecond: number
  /** Of the worker's process. */
  cpuUsPerChild: number
  mostRssMiB: number
  grownMiB: number
  endedPerSecond: number | null
}

/**
 * How many children a second does one job commit that gives very many, and what memory does its worker take? From the
 * job's start to its end by the database's clock, with a relay that carries what the window lets through. Then a worker
 * ends all of them, and they are counted. The control writes the same rows by one session, a page a transaction, without
 * a rule: no outbox, no counters, no window, no claim.
 */
export const benchFanOut = async (place: Place, { rows, rounds, full, profile }: BenchOptions): Promise<Report> => {
  const items = rows ?? (full ? itemsInFull : itemsForALook)
  const orm = openOrm({ databaseUrl: place.databaseUrl, poolSize: 4, applicationName: 'bench' })
  const names = { first: `${place.queue}.fan-out`, next: `${place.queue}.next` }
  const workflow = await saveFanOut(place, names)
  const work = { place, orm, workflow, names, items }
  const turns: Record<FanOutTask['kind'], Turn[]> = { pages: [], items: [] }
  const bare: number[] = []
  try {
    for (let turn = 0; turn < rounds; turn += 1) {
      bare.push(await writeBare(place, workflow, items))
      // Of the million all are carried once; one by one is said beside it.
      turns.pages.push(await fanOut(work, { kind: 'pages', profileTo: null, isCarried: turn === 0 }))
      turns.items.push(await fanOut(work, { kind: 'items', profileTo: null, isCarried: false }))
    }
    const profiled = profile
      ? await profileWork(items, async (profileTo) => {
          await fanOut(work, { kind: 'pages', profileTo, isCarried: false })
        })
      : null
    return report(turns, bare, profiled, { items, rounds })
  } finally {
    for (const queue of Object.values(names)) await place.channel.deleteQueue(queue)
    await orm.close()
  }
}

type Work = {
  place: Place
  orm: MikroORM
  workflow: TwoSteps
  names: { first: string; next: string }
  items: number
}

const fanOut = async (
  { place, orm, workflow, names, items }: Work,
  { kind, profileTo, isCarried }: Pick<FanOutTask, 'kind' | 'profileTo'> & { isCarried: boolean },
): Promise<Turn> => {
  const { databaseUrl, rabbitmqUrl, lane } = place
  await makeQuiet(place)
  const task = { databaseUrl, rabbitmqUrl, lane: lane.name, window: pageItems }
  const relay = startSidecar(place)
  await relay.saw(({ event }) => event === 'relay.owned')
  const worker = await startWorkerChild('fan-out', { ...task, functionName: names.first, kind, profileTo })
  const { runId } = await openRun(orm.em.fork(), {
    workflow,
    stepId: workflow.stepId,
    trigger: 'manual',
    idempotencyKey: randomUUID(),
    payload: { items },
    lane: lane.id,
    worker: 'bench',
  })
  const cpuBefore = (await readProcess(worker.pid)).cpuMs
  const rss: number[] = []
  let ms: number | null = null
  while (ms === null) {
    rss.push((await readProcess(worker.pid)).rss / 2 ** 20)
    await delay(sampleMs)
    ms = await msOfFanOut(place, runId)
  }
  const cpuUsPerChild = (((await readProcess(worker.pid)).cpuMs - cpuBefore) * 1_000) / items
  await worker.stop()
  await expectGiven(place, runId, items)
  let endedPerSecond: number | null = null
  if (isCarried) {
    const startedMs = performance.now()
    const others = await startWorkerChild('no-op', { ...task, functionName: names.next })
    while (await isOpen(place, runId)) {
      await releaseWaitingJobs(orm.em.fork(), { lane: lane.id })
      await delay(sweepMs)
    }
    endedPerSecond = items / ((performance.now() - startedMs) / 1_000)
    await others.stop()
    await expectEnded(place, runId, items)
  }
  await relay.end('SIGTERM')
  await place.db.query('truncate workflow_run, workflow_waiting, workflow_hidden_page, outbox_message cascade')
  // What was resident in the first fifth is what the program itself takes.
  const early = Math.max(...rss.slice(0, Math.max(1, Math.floor(rss.length / 5))))
  const most = Math.max(...rss)
  return { perSecond: (items / ms) * 1_000, cpuUsPerChild, mostRssMiB: most, grownMiB: most - early, endedPerSecond }
}

/** Leaves the tables and the disk as quiet as they get. */
const makeQuiet = async ({ db, admin }: Place): Promise<void> => {
  await db.query('vacuum analyze')
  await admin.query('checkpoint')
}

/**
 * How long the job took that gives the items, milliseconds; null while it is under way. It is the run's first: to look for
 * the one without a parent would read all that it has given, at each look.
 */
const msOfFanOut = async ({ db }: Place, run: string): Promise<number | null> => {
  const { rows } = await db.query(
    `select (extract(epoch from finished_at - started_at) * 1000)::float8 as ms, status from workflow_job
     where id = (select id from workflow_job where run_id = $1 order by id limit 1) and finished_at is not null`,
    [run],
  )
  const [ended] = z.array(z.object({ ms: z.number(), status: z.string() })).parse(rows)
  if (ended !== undefined && ended.status !== 'succeeded')
    throw new Error(`the job that gives the items ${ended.status}`)
  return ended?.ms ?? null
}

/** Throws unless every item is one job, and counted: a rate at which some are lost or doubled is no answer. */
const expectGiven = async ({ db }: Place, run: string, items: number): Promise<void> => {
  const { rows } = await db.query(
    `select count(*)::int as jobs, count(distinct item_index)::int as places, max(item_index) as last,
            count(distinct payload ->> 'item')::int as items,
            (select sum(staged + belt)::int from workflow_run_step where run_id = $1) as counted,
            (select emitted from workflow_job where run_id = $1 and parent_id is null) as emitted
     from workflow_job where run_id = $1 and parent_id is not null and status in ('staged', 'queued')`,
    [run],
  )
  const expected = { jobs: items, places: items, last: items - 1, items, counted: items, emitted: items }
  if (JSON.stringify(rows[0]) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(rows[0])} is there, expected ${JSON.stringify(expected)}`)
  }
}

const isOpen = async ({ db }: Place, run: string): Promise<boolean> => {
  const { rowCount } = await db.query(`select from workflow_run where id = $1 and finished_at is null`, [run])
  return rowCount === 1
}

/** Throws unless all have succeeded, and are counted so. */
const expectEnded = async ({ db }: Place, run: string, items: number): Promise<void> => {
  const { rows } = await db.query<{ ended: number; counted: number }>(
    `select (select count(*)::int from workflow_job where run_id = $1 and status = 'succeeded') as ended,
            (select sum(succeeded)::int from workflow_run_step where run_id = $1) as counted`,
    [run],
  )
  // The job that gave them is one as well.
  if (rows[0]?.ended !== items + 1 || rows[0].counted !== items + 1) {
    throw new Error(`${JSON.stringify(rows[0])} jobs have ended, expected ${items + 1}`)
  }
}

/** Writes as many rows of jobs, and nothing else; gives how many a second. */
const writeBare = async ({ db }: Place, workflow: TwoSteps, items: number): Promise<number> => {
  const run = randomUUID()
  await db.query(
    `insert into workflow_run (id, workflow_id, version, trigger, idempotency_key, status)
     values ($1, $2, 1, 'manual', $3, 'running')`,
    [run, workflow.id, run],
  )
  const startedMs = performance.now()
  for (let first = 0; first < items; first += pageItems) {
    const count = Math.min(pageItems, items - first)
    const rows = Array.from({ length: count }, (_, index) => ({
      item_index: first + index,
      payload: bareItem(first + index),
    }))
    await db.query(
      `insert into workflow_job (id, run_id, step_id, item_index, status, payload, traceparent, enqueued_at)
       select uuidv7(), $1, $2, item_index, 'staged', payload, $3, null
       from jsonb_to_recordset($4::jsonb) as item (item_index int, payload jsonb)`,
      [run, workflow.nextStepId, `00-${'1'.repeat(32)}-${'1'.repeat(16)}-00`, JSON.stringify(rows)],
    )
  }
  const perSecond = items / ((performance.now() - startedMs) / 1_000)
  await db.query('truncate workflow_run cascade')
  return perSecond
}

const bareItem = (item: number) => ({
  item,
  name: `Contact number ${item} of the segmentation`,
  email: `contact.${item}@example.com`,
  createdAt: '2026-01-01T00:00:00.000-03:00',
})

const report = (
  turns: Record<FanOutTask['kind'], readonly Turn[]>,
  bare: readonly number[],
  profiled: string | null,
  { items, rounds }: { items: number; rounds: number },
): Report => {
  const rateOf = (kind: FanOutTask['kind']) => median(turns[kind].map(({ perSecond }) => perSecond))
  const cpuOf = (kind: FanOutTask['kind']) => median(turns[kind].map(({ cpuUsPerChild }) => cpuUsPerChild))
  const all = [...turns.pages, ...turns.items]
  const mostRssMiB = Math.max(...all.map((turn) => turn.mostRssMiB))
  const grownMiB = Math.max(...turns.pages.map((turn) => turn.grownMiB))
  const endedPerSecond = turns.pages.find((turn) => turn.endedPerSecond !== null)?.endedPerSecond ?? null
  const ours = rateOf('pages')
  const ratio = ratioByRound(
    turns.pages.map(({ perSecond }) => perSecond),
    bare,
  )
  const line = (what: string, kind: FanOutTask['kind']) => {
    const most = Math.max(...turns[kind].map((turn) => turn.mostRssMiB))
    const grown = Math.max(...turns[kind].map((turn) => turn.grownMiB))
    return [what, round(rateOf(kind)), round(cpuOf(kind), 1), round(most), round(grown)]
  }
  return {
    table:
      table(
        [`${items.toLocaleString('en-US')} children`, 'children/s', 'CPU us/child', 'most MiB', 'grown MiB'],
        [
          line('pages with a cursor', 'pages'),
          line('hidden, then accepted', 'items'),
          ['rows of jobs, nothing else', round(median(bare)), null, null, null],
          ['ended by one worker then', endedPerSecond === null ? null : round(endedPerSecond), null, null, null],
          ['to hold, first row', holdPerSecond, null, holdRssMiB, null],
        ],
      ) + (profiled === null ? '' : `\n${profiled}`),
    verdict: {
      ours: round(ours),
      control: round(median(bare)),
      ratio: round(ratio, 3),
      hold: holdPerSecond,
      held: ours >= holdPerSecond && mostRssMiB <= holdRssMiB,
      hiddenPerSecond: round(rateOf('items')),
      endedPerSecond: endedPerSecond === null ? null : round(endedPerSecond),
      cpuUsPerChild: { pages: round(cpuOf('pages'), 1), items: round(cpuOf('items'), 1) },
      mostRssMiB: round(mostRssMiB),
      grownMiB: round(grownMiB),
      items,
      rounds,
    },
  }
}
