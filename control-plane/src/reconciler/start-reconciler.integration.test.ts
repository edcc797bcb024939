import { cloneDatabase, waitFor } from '@esteira/test/support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { anchor, createMemoryCluster, type MemoryCluster } from '../../test/memory-cluster.ts'
import { type Api, openApi } from '../../test/open-api.ts'
import { podJson, podTemplate } from '../../test/pod-template.ts'
import type { Loop } from '../loop.ts'
import { parsePodTemplate, type PodTemplate } from './pod-template.ts'
import { type ReconcilerEvent, startReconciler } from './start-reconciler.ts'

let database: Awaited<ReturnType<typeof cloneDatabase>>
let api: Api
let cluster: MemoryCluster
let running: Loop[]
let readTemplate: () => Promise<PodTemplate | null>

beforeEach(async () => {
  database = await cloneDatabase()
  api = await openApi(database.url)
  cluster = createMemoryCluster()
  running = []
  readTemplate = async () => podTemplate
})
afterEach(async () => {
  await Promise.all(running.map((loop) => loop.stop()))
  await api.close()
  await database.drop()
})

/** Never, as far as a test is concerned. */
const neverMs = 3_600_000

type Own = { pollMs?: number; resyncMs?: number; readTemplate?: () => Promise<PodTemplate | null> }

const start = (own: Own = {}) => {
  const events: ReconcilerEvent[] = []
  const loop = startReconciler({
    orm: api.orm,
    databaseUrl: database.url,
    cronJobs: cluster.cronJobs,
    anchor: anchor.name,
    readTemplate: () => readTemplate(),
    observe: (event) => events.push(event),
    pollMs: neverMs,
    resyncMs: neverMs,
    backoff: { firstMs: 10, capMs: 100 },
    ...own,
  })
  running.push(loop)
  const saw = (kind: ReconcilerEvent['kind']) => events.filter((event) => event.kind === kind)
  return {
    loop,
    events,
    saw,
    settled: () => waitFor(() => saw('cron-jobs.seen').length > 0, { describe: () => events }),
  }
}

let saved = 0
const save = () =>
  api.send('POST', '/v1/workflows', {
    name: `leads ${++saved}`,
    steps: [{ name: 'every hour', functionName: 'CronJob', config: { schedule: '0 * * * *' } }],
  })

const objects = (count: number) =>
  waitFor(() => cluster.objects().length === count, { describe: () => cluster.objects() })

test('a save is carried out when it is told, and when it is not by the next poll', async () => {
  const { loop, settled } = start()
  await settled()
  await save()
  loop.wake()
  await objects(1)
  await loop.stop()
  start({ pollMs: 50 })
  await save()
  await objects(2)
})

test('what a watch tells is repaired without a list', async () => {
  await save()
  const { saw, settled } = start()
  await settled()
  await objects(1)
  const { name } = cluster.only()
  cluster.counted()
  cluster.erase(name)
  await objects(1)
  expect(cluster.only().name).toBe(name)
  expect(cluster.counted()).toEqual({ find: 1, apply: 1 })
  await waitFor(() => saw('cron-jobs.drifted').length > 0)
  expect(saw('cron-jobs.drifted')).toHaveLength(1)
})

test('somebody who takes back each of our writes gets a handful of them, and not one a time', async () => {
  await save()
  const { apply } = cluster.cronJobs
  cluster.cronJobs.apply = async (application) => {
    const answer = await apply(application)
    const [object] = cluster.objects()
    if (object !== undefined) setImmediate(() => cluster.write({ ...object, spec: `theirs ${object.resourceVersion}` }))
    return answer
  }
  const { saw } = start({ pollMs: 50 })
  await objects(1)
  await waitFor(() => saw('cron-jobs.seen').length > 40, { deadlineMs: 30_000 })
  const { apply: applied = 0 } = cluster.counted()
  // One that makes it, and repairs at once, after half a second at the least, after a second more.
  expect(applied).toBeGreaterThanOrEqual(2)
  expect(applied).toBeLessThanOrEqual(6)
})

test('a watch that tells nothing costs a resync at most', async () => {
  await save()
  const { watch } = cluster.cronJobs
  cluster.cronJobs.watch = (options, signal) => watch({ ...options, onSeen: () => {} }, signal)
  const { settled } = start({ pollMs: 50, resyncMs: 1_000 })
  await settled()
  await objects(1)
  cluster.erase(cluster.only().name)
  await objects(1)
})

test('of two only the one that leads writes, and the other goes on when it stops', async () => {
  const first = start({ pollMs: 50 })
  await first.settled()
  const second = start({ pollMs: 50 })
  await save()
  await objects(1)
  expect(second.events).toEqual([])
  cluster.counted()
  await first.loop.stop()
  await second.settled()
  expect(second.saw('lead.taken')).toHaveLength(1)
  // It knows from the tables how things stand.
  expect(cluster.counted()).toEqual({ anchor: 1, list: 1, watch: 1 })
  await save()
  await objects(2)
})

test('a lead whose session is ended stops writing, and takes the lead anew', async () => {
  const { settled, saw } = start({ pollMs: 50 })
  await settled()
  await api.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = 'control-plane lead'`,
  )
  await waitFor(() => saw('lead.taken').length === 2, { describe: () => saw('lead.lost') })
  expect(saw('lead.lost')).toHaveLength(1)
  await save()
  await objects(1)
})

test('a cluster that is away is waited for, and then all is made that was saved meanwhile', async () => {
  cluster.answers(() => ({ kind: 'unknown', words: 'connect ECONNREFUSED' }))
  const { saw } = start({ pollMs: 20 })
  await save()
  await waitFor(() => saw('cluster.unavailable').length >= 8, { describe: () => saw('loop.failed') })
  cluster.answers(() => undefined)
  await objects(1)
  expect(saw('cluster.back')).toHaveLength(1)
  expect(saw('loop.failed')).toEqual([])
})

test('a server that asks for time is left alone until then, whatever is saved meanwhile', async () => {
  await save()
  cluster.answers(({ verb }) => (verb === 'apply' ? { kind: 'later', words: 'slow down', afterMs: 60_000 } : undefined))
  const { saw } = start({ pollMs: 20 })
  await waitFor(() => saw('cluster.unavailable').length > 0, { describe: () => saw('cron-jobs.refused') })
  cluster.counted()
  await save()
  const turns = saw('cron-jobs.seen').length
  await waitFor(() => saw('cron-jobs.seen').length > turns + 10)
  expect(cluster.counted()).toEqual({})
})

const laterTemplate = parsePodTemplate(JSON.stringify(podJson).replace('esteira:1', 'esteira:2'), 'the test')

test('the template that it has is taken for good, whatever the file says later', async () => {
  await save()
  const { saw, settled } = start({ pollMs: 20, resyncMs: 20 })
  await settled()
  await objects(1)
  readTemplate = async () => laterTemplate
  await save()
  await objects(2)
  const turns = saw('cron-jobs.seen').length
  await waitFor(() => saw('cron-jobs.seen').length > turns + 20)
  for (const { spec } of cluster.objects()) expect(spec).toContain('localhost/esteira:1')
  expect(saw('loop.failed')).toEqual([])
})

test('without a template of its own it waits for it, and leaves the lead to who has one', async () => {
  let template: PodTemplate | null = null
  const waiting = start({ pollMs: 20, readTemplate: async () => template })
  await waitFor(() => waiting.saw('pod-template.awaited').length > 0)
  const old = start({ pollMs: 20 })
  await old.settled()
  await save()
  await objects(1)
  template = podTemplate
  await waitFor(() => waiting.saw('pod-template.found').length > 0)
  expect(waiting.saw('pod-template.awaited')).toHaveLength(1)
  expect(waiting.saw('lead.taken')).toEqual([])
  await old.loop.stop()
  await waiting.settled()
})

test('a template that cannot be read is told once, and taken when it can be', async () => {
  await save()
  let reads = 0
  readTemplate = async () => {
    reads += 1
    throw new Error('pod.json is not JSON')
  }
  const { saw } = start({ pollMs: 20 })
  await waitFor(() => reads > 3)
  expect(cluster.objects()).toEqual([])
  readTemplate = async () => podTemplate
  await objects(1)
  expect(saw('pod-template.unreadable')).toEqual([{ kind: 'pod-template.unreadable', reason: 'pod.json is not JSON' }])
  expect(saw('loop.failed')).toEqual([])
})

test('a config that cannot be followed is told once', async () => {
  await save()
  // By hand, since the API refuses it.
  await api.query(
    `insert into workflow_step (id, version, workflow_id, position, name, function_name, config)
     select gen_random_uuid(), version, id, 1, 'by hand', 'CronJob', '{"schedule":"61 * * * *"}' from workflow`,
  )
  const { saw } = start({ pollMs: 20 })
  await waitFor(() => saw('cron-jobs.seen').length > 3)
  expect(saw('schedule.unreadable')).toMatchObject([{ step: 'by hand' }])
  await objects(1)
})
