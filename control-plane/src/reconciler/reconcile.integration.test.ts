import { cloneDatabase } from '@esteira/test/support'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { anchor, createMemoryCluster, type MemoryCluster } from '../../test/memory-cluster.ts'
import { type Api, leadsSteps, openApi } from '../../test/open-api.ts'
import { podTemplate } from '../../test/pod-template.ts'
import { workflowDocument } from '../workflows/document.ts'
import type { View } from './cluster-view.ts'
import { createDesire } from './desired-cron-jobs.ts'
import { createPicture } from './picture.ts'
import { readDatabaseId } from './read-database-id.ts'
import { reconcileOnce, type ReconcileEvent, type Report } from './reconcile.ts'
import { createRepairs } from './repairs.ts'

let database: Awaited<ReturnType<typeof cloneDatabase>>
let api: Api
let cluster: MemoryCluster
let events: ReconcileEvent[]
let standing: ReconcileEvent | undefined

beforeEach(async () => {
  database = await cloneDatabase()
  api = await openApi(database.url, { cron: 'kubernetes' })
  cluster = createMemoryCluster()
  events = []
})
afterEach(async () => {
  await api.close()
  await database.drop()
})

const look = async (): Promise<View> => {
  const listed = await cluster.cronJobs.list()
  if (listed.kind !== 'ok') throw new Error('it lists')
  return { kind: 'seen', anchor, picture: createPicture(listed.value.items) }
}

/** A turn of a control plane that has just started. What it told of is in `events`. */
const turn = async ({
  view,
  mayWrite = () => true,
  leads = () => true,
}: { view?: View; mayWrite?: () => boolean; leads?: () => boolean } = {}): Promise<Report> => {
  const seen = view ?? (await look())
  events = []
  standing = undefined
  cluster.counted()
  const ofDatabase = await readDatabaseId(api.orm.em.fork())
  return reconcileOnce({
    em: api.orm.em.fork(),
    database: ofDatabase,
    view: seen,
    cronJobs: cluster.cronJobs,
    desire: createDesire({ anchor: anchor.name, database: ofDatabase, template: podTemplate }),
    repairs: createRepairs(),
    mayWrite,
    leads,
    observe: (event) => {
      if (event.kind === 'cron-jobs.seen') standing = event
      else events.push(event)
    },
  })
}

const tick = { name: 'every hour', functionName: 'CronJob', config: { schedule: '0 * * * *' } }

const save = async (change: object = {}) => {
  const answer = await api.send('POST', '/v1/workflows', { name: 'leads', steps: [tick], ...change })
  return workflowDocument.parse(answer.body)
}

const saveAgain = async (id: string, change: object = {}) => {
  const { headers } = await api.send('GET', `/v1/workflows/${id}`)
  const body = { name: 'leads', automationType: 'step', enabled: true, steps: [tick], ...change }
  const answer = await api.send('PUT', `/v1/workflows/${id}`, body, { 'if-match': headers.get('etag') ?? '' })
  expect(answer.status).toBe(200)
}

const shown = z.object({ items: z.array(z.looseObject({ runsIn: z.string(), actual: z.looseObject({}).nullable() })) })

/** The cron steps as the API shows them. */
const cronJobs = async () => shown.parse((await api.send('GET', '/v1/cron-jobs')).body).items

const actual = async () => (await cronJobs())[0]?.actual

const passTime = () =>
  api.query(`update workflow_cron_job set next_try_at = now() - interval '1 second' where trouble is not null`)

const forbidden = {
  kind: 'refused',
  code: 'Forbidden',
  words: 'cronjobs.batch "leads" is forbidden: exceeded quota: count, requested: 1, used: 0, limited: 0',
} as const

test('a saved cron step has a CronJob after a turn, and the next turn makes no call', async () => {
  await save()
  expect(await actual()).toMatchObject({ state: 'pending', object: null })
  await turn()
  const object = cluster.only()
  expect(object.owners).toEqual([anchor.uid])
  expect(await cronJobs()).toMatchObject([
    {
      runsIn: 'kubernetes',
      actual: { state: 'applied', reason: null, object: object.name, schedule: '0 * * * *', suspended: false },
    },
  ])
  await turn()
  expect(cluster.counted()).toEqual({})
  expect(events).toEqual([])
})

test('steps of other functions have none', async () => {
  await save({ steps: leadsSteps })
  await turn()
  expect(cluster.only().name).toMatch(/^leads-every-hour-/)
})

test('a change is made to the object that is there, and a new name leaves it its own', async () => {
  const { id, steps } = await save()
  await turn()
  const { uid, name } = cluster.only()
  const renamed = { id: steps[0]?.id, ...tick, name: 'hourly', config: { schedule: '5 * * * *' } }
  await saveAgain(id, { name: 'contacts', steps: [renamed] })
  await turn()
  expect(cluster.only()).toMatchObject({ uid, name, annotations: { 'esteira.dev/workflow': 'contacts' } })
  expect(cluster.only().spec).toContain('5 * * * *')
  expect(await actual()).toMatchObject({ state: 'applied', schedule: '5 * * * *' })
})

test('a save is pending until it was looked at, whatever it is about', async () => {
  const { id, steps } = await save()
  await turn()
  const step = { id: steps[0]?.id, ...tick, config: { schedule: '0 * * * *', startingDeadlineSeconds: 600 } }
  await saveAgain(id, { steps: [step] })
  expect(await cronJobs()).toMatchObject([{ startingDeadlineSeconds: 600, actual: { state: 'pending' } }])
  await turn()
  expect(await actual()).toMatchObject({ state: 'applied' })
  // Of this one the cluster has nothing to know.
  await saveAgain(id, { steps: [{ ...step, config: { ...step.config, overlap: 'skip' } }] })
  expect(await actual()).toMatchObject({ state: 'pending' })
  await turn()
  expect(cluster.counted()).toEqual({})
  expect(await actual()).toMatchObject({ state: 'applied' })
})

test('disabling suspends, and deleting removes it with all that is known of it', async () => {
  const { id, steps } = await save()
  await turn()
  const { uid } = cluster.only()
  const same = [{ id: steps[0]?.id, ...tick }]
  await saveAgain(id, { enabled: false, steps: same })
  await turn()
  expect(cluster.only()).toMatchObject({ uid })
  expect(cluster.only().spec).toContain('"suspend":true')
  await api.send('DELETE', `/v1/workflows/${id}`)
  await turn()
  expect(cluster.objects()).toEqual([])
  expect(await api.query('select from workflow_cron_job')).toEqual([])
})

/** Writes a step as a version of this program would that knows more members of a config. */
const saveAsLaterVersion = async () => {
  await api.query('alter table workflow_step disable trigger workflow_step_is_final')
  await api.query(
    `update workflow_step set config = config || '{ "jitterSeconds": 5 }' where function_name = 'CronJob'`,
  )
}

test('a step whose config a later version has saved keeps its CronJob, and the API says that it is not followed', async () => {
  const { id } = await save()
  await turn()
  const before = cluster.only()
  await saveAsLaterVersion()
  const { unreadable } = await turn()
  expect(unreadable).toHaveLength(1)
  expect(cluster.counted()).toEqual({})
  expect(cluster.only()).toEqual(before)
  expect(await cronJobs()).toMatchObject([
    { fault: expect.any(String), actual: { object: before.name, reason: expect.stringContaining('stays as it is') } },
  ])
  // What was known of it is known to the version that can read it again.
  expect(await api.query('select object, uid from workflow_cron_job')).toEqual([
    { object: before.name, uid: before.uid },
  ])
  await api.send('DELETE', `/v1/workflows/${id}`)
  await turn()
  expect(cluster.objects()).toEqual([])
})

const sinceOf = (): string | undefined => cluster.only().annotations['esteira.dev/schedule-since']

test('a schedule holds from its own save on, and a save for another reason swallows no tick', async () => {
  const { id, steps } = await save()
  await turn()
  const first = sinceOf()
  const step = { id: steps[0]?.id, ...tick }
  await saveAgain(id, { steps: [{ ...step, name: 'hourly' }] })
  await turn()
  expect(sinceOf()).toBe(first)
  await saveAgain(id, { steps: [{ ...step, config: { schedule: '5 * * * *' } }] })
  await turn()
  expect(Date.parse(sinceOf() ?? '')).toBeGreaterThan(Date.parse(first ?? ''))
})

test('a save for another reason before a schedule is applied swallows no tick that was due between the two', async () => {
  const { id, steps } = await save()
  await turn()
  const changed = { id: steps[0]?.id, ...tick, config: { schedule: '5 * * * *' } }
  await saveAgain(id, { steps: [changed] })
  const between = z
    .tuple([z.object({ at: z.coerce.date() })])
    .parse(await api.query('select clock_timestamp() as at'))[0].at
  await saveAgain(id, { name: 'contacts', steps: [changed] })
  await turn()
  expect(cluster.only().spec).toContain('5 * * * *')
  expect(Date.parse(sinceOf() ?? '')).toBeLessThanOrEqual(between.getTime())
})

test('who takes over goes on without a call, and without what was known each object is applied once', async () => {
  await save()
  await turn()
  const before = cluster.only()
  await turn()
  expect(cluster.counted()).toEqual({})
  await api.query('delete from workflow_cron_job')
  await turn()
  expect(cluster.counted()).toEqual({ apply: 1 })
  expect(events).toMatchObject([{ kind: 'cron-jobs.changed', created: 0, changed: 0, verified: 1, deleted: 0 }])
  expect(cluster.only().generation).toBe(before.generation)
  await turn()
  expect(cluster.counted()).toEqual({})
})

test('drift is repaired and told once', async () => {
  await save()
  await turn()
  const { name, generation, ...object } = cluster.only()
  cluster.write({ ...object, name, spec: 'changed by hand' })
  await turn()
  expect(events).toEqual([{ kind: 'cron-jobs.drifted', count: 1, objects: [name] }])
  expect(cluster.only()).toMatchObject({ spec: object.spec, generation: generation + 2 })
  await turn()
  expect(cluster.counted()).toEqual({})
  expect(events).toEqual([])
})

test('one that was deleted by hand comes back under its name, and that is told', async () => {
  const { id, steps } = await save()
  await turn()
  const { name } = cluster.only()
  await saveAgain(id, { name: 'contacts', steps: [{ id: steps[0]?.id, ...tick }] })
  cluster.erase(name)
  await turn()
  expect(cluster.only().name).toBe(name)
  expect(events).toEqual([{ kind: 'cron-jobs.drifted', count: 1, objects: [name] }])
})

test('one that was robbed of its labels is still known to be ours', async () => {
  await save()
  await turn()
  const { labels, ...object } = cluster.only()
  cluster.write({ ...object, labels: {} })
  await turn()
  expect(cluster.only()).toMatchObject({ uid: object.uid, labels })
})

test('a release that is given another database deletes nothing that is of the one before', async () => {
  await save()
  await turn()
  const before = cluster.only()
  // As an empty database is: with an id of its own, and nothing in it.
  await api.query('update workflow_database set id = gen_random_uuid()')
  await api.query('update workflow set deleted_at = now()')
  await api.query('delete from workflow_cron_job')
  const { others } = await turn()
  expect(others).toEqual([before.name])
  expect(cluster.objects()).toEqual([before])
  expect(cluster.counted()).toEqual({})
})

test('one that a version before made, which names no database, is ours', async () => {
  const { id } = await save()
  await turn()
  const { labels, ...object } = cluster.only()
  const { 'esteira.dev/database': _, ...others } = labels
  cluster.write({ ...object, labels: others })
  await api.query('delete from workflow_cron_job')
  await api.send('DELETE', `/v1/workflows/${id}`)
  await turn()
  expect(cluster.objects()).toEqual([])
})

test('a CronJob of somebody else is never written, also where it has the name that we would give', async () => {
  await save()
  await turn()
  const { name, ...object } = cluster.only()
  await api.query('delete from workflow_cron_job')
  cluster.erase(name)
  const foreign = {
    ...object,
    name,
    uid: 'theirs',
    labels: { team: 'crm' },
    annotations: {},
    owners: [],
    spec: 'theirs',
  }
  const before = cluster.write(foreign)
  const other = cluster.write({ ...foreign, name: 'another', uid: 'another' })
  await turn()
  expect(cluster.counted()).toEqual({ find: 1 })
  expect(cluster.objects()).toEqual([before, other])
  expect(await actual()).toMatchObject({
    state: 'foreign',
    object: null,
    reason: `there is a CronJob "${name}" already, and it is not ours`,
  })
  cluster.erase(name)
  await passTime()
  await turn()
  expect(await actual()).toMatchObject({ state: 'applied', object: name })
})

test('a refusal is told at the API in the words of the API server, and tried again when its time has come', async () => {
  await save()
  cluster.answers(({ verb }) => (verb === 'apply' ? forbidden : undefined))
  await turn()
  expect(await actual()).toMatchObject({ state: 'refused', reason: forbidden.words, nextTryAt: expect.any(String) })
  expect(events).toMatchObject([{ kind: 'cron-jobs.refused', count: 1, code: 'Forbidden', reason: forbidden.words }])
  await turn()
  expect(cluster.counted()).toEqual({})
  await passTime()
  await turn()
  expect(cluster.counted()).toEqual({ find: 1, apply: 1 })
  // It was told before.
  expect(events).toEqual([])
  cluster.answers(() => undefined)
  await passTime()
  await turn()
  expect(await actual()).toMatchObject({ state: 'applied', reason: null, nextTryAt: null })
})

test('what was refused as it was is tried at once when it is another', async () => {
  const { id, steps } = await save()
  cluster.answers(({ verb }) => (verb === 'apply' ? forbidden : undefined))
  await turn()
  await saveAgain(id, { steps: [{ id: steps[0]?.id, ...tick, config: { schedule: '5 * * * *' } }] })
  cluster.answers(() => undefined)
  await turn()
  expect(cluster.only().spec).toContain('5 * * * *')
})

test('the pause before the next try doubles, and a step that is refused holds up no other', async () => {
  await save()
  await save({ name: 'contacts' })
  cluster.answers(({ verb, name }) => (verb === 'apply' && name.startsWith('leads') ? forbidden : undefined))
  const pauses: number[] = []
  for (let tries = 1; tries <= 12; tries += 1) {
    await turn()
    const [row] = z.array(z.object({ tries: z.int(), pause: z.number() })).parse(
      await api.query(
        `select tries, extract(epoch from next_try_at - now())::float8 as pause from workflow_cron_job
           where trouble is not null`,
      ),
    )
    expect(row?.tries).toBe(tries)
    pauses.push(row?.pause ?? 0)
    await passTime()
  }
  expect(cluster.only().name).toMatch(/^contacts/)
  expect(pauses[0]).toBeLessThanOrEqual(1)
  expect(pauses[6]).toBeGreaterThan(30)
  expect(pauses[11]).toBeGreaterThan(140)
  expect(pauses[11]).toBeLessThanOrEqual(300)
})

test('a delete that is refused is tried again, and is no trouble of the steps that are there', async () => {
  const { id } = await save()
  await turn()
  await api.send('DELETE', `/v1/workflows/${id}`)
  cluster.answers(({ verb }) => (verb === 'remove' ? forbidden : undefined))
  await turn()
  await turn()
  expect(cluster.counted()).toEqual({})
  expect(await cronJobs()).toEqual([])
  cluster.answers(() => undefined)
  await passTime()
  await turn()
  expect(cluster.objects()).toEqual([])
  expect(await api.query('select from workflow_cron_job')).toEqual([])
})

const manySteps = (count: number) => Array.from({ length: count }, (_, index) => ({ ...tick, name: `step ${index}` }))

const saveMany = async (count: number): Promise<void> => {
  for (let first = 0; first < count; first += 50) {
    await save({ name: `leads ${first}`, steps: manySteps(Math.min(50, count - first)) })
  }
}

test('a server that asks for time ends the turn', async () => {
  await saveMany(50)
  let applies = 0
  cluster.answers(({ verb }) =>
    verb === 'apply' && ++applies > 10 ? { kind: 'later', words: 'too many requests', afterMs: 7_000 } : undefined,
  )
  const { held } = await turn()
  expect(held).toMatchObject({ kind: 'later', afterMs: 7_000 })
  expect(cluster.objects()).toHaveLength(10)
  expect(applies).toBeLessThan(20)
})

test('so does one that gives no answer, and one hanging webhook does not', async () => {
  await saveMany(50)
  const nothing = { kind: 'unknown', words: 'no answer within 15 s' } as const
  let hangs: string | undefined
  cluster.answers(({ verb, name }) => (verb === 'apply' && name === (hangs ??= name) ? nothing : undefined))
  // It is looked at again whether there is a cluster.
  expect(await turn()).toMatchObject({ held: null, doubtful: true })
  expect(cluster.objects()).toHaveLength(49)
  for (const { name } of cluster.objects()) cluster.erase(name)
  await passTime()
  cluster.answers(({ verb }) => (verb === 'list' ? undefined : nothing))
  expect((await turn()).held).toMatchObject(nothing)
  expect(cluster.counted().find).toBeLessThan(12)
})

test('an object that is not the one that was seen is looked at again', async () => {
  const { id, steps } = await save()
  await turn()
  const { name, ...object } = cluster.only()
  const stale = await look()
  cluster.erase(name)
  cluster.write({ ...object, name, uid: 'another' })
  await saveAgain(id, { steps: [{ id: steps[0]?.id, ...tick, config: { schedule: '5 * * * *' } }] })
  expect((await turn({ view: stale })).doubtful).toBe(true)
  await passTime()
  expect((await turn()).doubtful).toBe(false)
  expect(cluster.only()).toMatchObject({ uid: 'another', spec: expect.stringContaining('5 * * * *') })
})

test('while the cluster is away only what waits for it is in trouble', async () => {
  await save()
  await turn()
  await save({ name: 'contacts' })
  const away: View = { kind: 'away', trouble: 'unreachable', code: null, words: 'connect ECONNREFUSED' }
  await turn({ view: away })
  const states = (await cronJobs()).map((job) => [String(job.workflowName), [job.actual?.state, job.actual?.reason]])
  expect(Object.fromEntries(states)).toEqual({
    contacts: ['unreachable', 'connect ECONNREFUSED'],
    leads: ['applied', null],
  })
  await turn()
  expect((await cronJobs()).map((job) => job.actual?.state)).toEqual(['applied', 'applied'])
})

test('a wish that was taken back while the cluster was away leaves no trouble', async () => {
  const { id, steps } = await save()
  await turn()
  const away: View = { kind: 'away', trouble: 'unreachable', code: null, words: 'connect ECONNREFUSED' }
  const step = { id: steps[0]?.id, ...tick }
  await saveAgain(id, { steps: [step], enabled: false })
  await turn({ view: away })
  expect(await actual()).toMatchObject({ state: 'unreachable', suspended: false })
  // Enabled again it ticks from this save on, as it would have.
  await saveAgain(id, { steps: [step] })
  await turn()
  expect(await actual()).toMatchObject({ state: 'applied', reason: null })
})

test('while the release is being removed nothing is written', async () => {
  const { id } = await save()
  await turn()
  await save({ name: 'contacts' })
  await api.send('DELETE', `/v1/workflows/${id}`)
  await turn({ view: { kind: 'uninstalling', words: 'configmaps "esteira-anchor" not found' } })
  expect(cluster.counted()).toEqual({})
  expect(cluster.objects()).toHaveLength(1)
})

test('while its anchor is gone no step passes for one that ticks, and all are made again when it is back', async () => {
  await save()
  await turn()
  const { name } = cluster.only()
  await save({ name: 'contacts' })
  await turn({ view: { kind: 'uninstalling', words: 'configmaps "esteira-anchor" not found' } })
  const reason = expect.stringMatching(/^configmaps "esteira-anchor" not found: the cluster removes the CronJobs/)
  expect((await cronJobs()).map((job) => job.actual)).toMatchObject([
    { state: 'unreachable', reason },
    { state: 'unreachable', reason },
  ])
  expect(standing).toMatchObject({ applied: 0, unreachable: 2 })
  // The cluster has collected it, and a new anchor is there.
  cluster.erase(name)
  await turn()
  expect((await cronJobs()).map((job) => job.actual?.state)).toEqual(['applied', 'applied'])
  expect(cluster.objects().map((object) => object.name)).toContain(name)
})

test('who does not lead any more writes nothing', async () => {
  await saveMany(20)
  let written = 0
  await turn({ mayWrite: () => ++written <= 8 })
  expect(cluster.objects()).toHaveLength(8)
})

test('who loses the lead while it waits for an answer leaves what is known as the next one to lead writes it', async () => {
  const { id } = await save()
  let leads = true
  cluster.answers(({ verb }) => {
    if (verb === 'apply') leads = false
    return undefined
  })
  await turn({ leads: () => leads })
  expect(cluster.objects()).toHaveLength(1)
  expect(await api.query('select from workflow_cron_job')).toEqual([])
  cluster.answers(() => undefined)
  await turn()
  await api.send('DELETE', `/v1/workflows/${id}`)
  for (const { name } of cluster.objects()) cluster.erase(name)
  await turn({ leads: () => false })
  expect(await api.query('select from workflow_cron_job')).toHaveLength(1)
})

test('more than fits a turn is left to the next ones', async () => {
  await saveMany(250)
  expect((await turn()).more).toBe(true)
  expect(cluster.objects()).toHaveLength(200)
  expect((await turn()).more).toBe(false)
  expect(cluster.objects()).toHaveLength(250)
})
