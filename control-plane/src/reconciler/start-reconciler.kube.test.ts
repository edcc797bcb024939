import { cloneDatabase, waitFor } from '@esteira/test/support'
import { readAuditLog, refusal, type SeenRequest, startsApiServers, watchOf } from '@esteira/test/cluster'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { z } from 'zod'
import { type Api, openApi } from '../../test/open-api.ts'
import { podTemplate } from '../../test/pod-template.ts'
import {
  admin,
  anchorName,
  cluster,
  foreignCronJob,
  namespace,
  rules,
  useRelease,
  way,
} from '../../test/use-release.ts'
import type { Loop } from '../loop.ts'
import { workflowDocument } from '../workflows/document.ts'
import { cronJobsOf } from './cron-jobs.ts'
import { type ReconcilerEvent, startReconciler } from './start-reconciler.ts'

useRelease()

let database: Awaited<ReturnType<typeof cloneDatabase>>
let api: Api
let running: Loop[]

beforeEach(async () => {
  database = await cloneDatabase()
  api = await openApi(database.url, { cron: 'kubernetes' })
  running = []
})
afterEach(async () => {
  await Promise.all(running.map((loop) => loop.stop()))
  await api.close()
  await database.drop()
})

/** Between two looks of the reconciler, and of who waits for what it does. */
const pollMs = 100

const start = ({ resyncMs = 30_000 } = {}) => {
  const events: ReconcilerEvent[] = []
  const loop = startReconciler({
    orm: api.orm,
    databaseUrl: database.url,
    cronJobs: cronJobsOf(cluster, anchorName, new AbortController().signal),
    anchor: anchorName,
    readTemplate: async () => podTemplate,
    observe: (event) => events.push(event),
    pollMs,
    resyncMs,
    backoff: { firstMs: 50, capMs: 500 },
  })
  running.push(loop)
  return { loop, events, saw: (kind: ReconcilerEvent['kind']) => events.filter((event) => event.kind === kind) }
}

const tick = (config: object = {}) => ({
  name: 'every hour',
  functionName: 'CronJob',
  config: { schedule: '0 * * * *', ...config },
})

const save = async (name = 'leads', steps: object[] = [tick()]) =>
  workflowDocument.parse((await api.send('POST', '/v1/workflows', { name, steps })).body)

const saveAgain = async (
  { id, steps }: z.output<typeof workflowDocument>,
  change: object = {},
  config: object = {},
) => {
  const { headers } = await api.send('GET', `/v1/workflows/${id}`)
  const body = { name: 'leads', automationType: 'step', enabled: true, steps: [{ id: steps[0]?.id, ...tick(config) }] }
  const match = { 'if-match': headers.get('etag') ?? '' }
  expect((await api.send('PUT', `/v1/workflows/${id}`, { ...body, ...change }, match)).status).toBe(200)
}

const shown = z.object({
  items: z.array(z.looseObject({ actual: z.looseObject({ state: z.string(), reason: z.string().nullable() }) })),
})

const actual = async () => shown.parse((await api.send('GET', '/v1/cron-jobs')).body).items[0]?.actual

const state = (wanted: string) =>
  waitFor(async () => ((await actual())?.state === wanted ? await actual() : null), {
    deadlineMs: 30_000,
    describe: actual,
  })

/** The one CronJob of ours, once it is as it is looked for. */
const ours = (isIt: (spec: Record<string, unknown>) => boolean = () => true) =>
  waitFor(
    async () => {
      const found = (await admin.cronJobs()).filter(({ metadata }) => 'esteira.dev/step' in metadata.labels)
      const [object, ...others] = found
      return object !== undefined && others.length === 0 && isIt(object.spec ?? {}) ? object : null
    },
    { deadlineMs: 30_000, pauseMs: pollMs, describe: () => admin.cronJobs() },
  )

test('a save makes a CronJob, a change keeps its uid, disabling suspends it, and deleting removes it', async () => {
  start()
  const workflow = await save()
  const { metadata } = await ours()
  await state('applied')
  await saveAgain(workflow, {}, { schedule: '5 * * * *', timeZone: 'America/Sao_Paulo' })
  const changed = await ours(({ schedule }) => schedule === '5 * * * *')
  expect(changed).toMatchObject({ metadata: { uid: metadata.uid }, spec: { timeZone: 'America/Sao_Paulo' } })
  await saveAgain(workflow, { name: 'contacts', enabled: false }, { schedule: '5 * * * *' })
  const suspended = await ours(({ suspend }) => suspend === true)
  expect(suspended.metadata).toMatchObject({ uid: metadata.uid, name: metadata.name })
  await api.send('DELETE', `/v1/workflows/${workflow.id}`)
  await waitFor(async () => (await admin.cronJobs()).length === 0, {
    deadlineMs: 30_000,
    pauseMs: pollMs,
    describe: () => admin.cronJobs(),
  })
})

test('CronJobs of others are left as they are, whatever happens to ours', async () => {
  const { saw } = start()
  await save()
  const { metadata } = await ours()
  const labels = { ...metadata.labels, 'esteira.dev/anchor': 'another-release' }
  const theirs = await Promise.all([
    admin.make(foreignCronJob('theirs')),
    admin.make(foreignCronJob('of-another-release', { labels })),
    admin.make(foreignCronJob('nobodys', { labels: { 'esteira.dev/step': metadata.labels['esteira.dev/step'] } })),
  ])
  await admin.remove('CronJob', metadata.name)
  await waitFor(() => saw('cron-jobs.drifted').length > 0, { deadlineMs: 30_000 })
  for (const foreign of theirs) expect(await admin.get('CronJob', foreign.metadata.name)).toEqual(foreign)
})

test('one of others that has the name of ours is told at the API, and is not written either', async () => {
  const { saw, loop } = start()
  await save()
  const { metadata } = await ours()
  await loop.stop()
  await api.query('delete from workflow_cron_job')
  await admin.remove('CronJob', metadata.name)
  const foreign = await admin.make(foreignCronJob(metadata.name))
  start()
  expect((await state('foreign'))?.reason).toBe(`there is a CronJob "${metadata.name}" already, and it is not ours`)
  expect(await admin.get('CronJob', metadata.name)).toEqual(foreign)
  expect(saw('cron-jobs.refused')).toEqual([])
  await admin.remove('CronJob', metadata.name)
  await state('applied')
  await ours()
})

test('what is changed by hand is repaired and told once, and so is what is deleted by hand, under its name', async () => {
  const { saw } = start()
  await save()
  const { metadata } = await ours()
  await admin.patch('CronJob', metadata.name, { spec: { schedule: '1 1 1 1 *' } })
  await waitFor(() => saw('cron-jobs.drifted').length > 0, { deadlineMs: 30_000 })
  await ours(({ schedule }) => schedule === '0 * * * *')
  await admin.remove('CronJob', metadata.name)
  await waitFor(() => saw('cron-jobs.drifted').length > 1, { deadlineMs: 30_000 })
  const back = await ours()
  expect(back.metadata.name).toBe(metadata.name)
  expect(back.metadata.uid).not.toBe(metadata.uid)
  const told = { kind: 'cron-jobs.drifted', count: 1, objects: [metadata.name] }
  // Some turns later there is no more to tell.
  const turns = saw('cron-jobs.seen').length
  await waitFor(() => saw('cron-jobs.seen').length > turns + 5)
  expect(saw('cron-jobs.drifted')).toEqual([told, told])
})

test('a Job that would not run, or run more than once, is repaired too', async () => {
  const { saw } = start()
  await save()
  const { metadata } = await ours()
  const stopped = { suspend: true, parallelism: 0, completions: 2, completionMode: 'Indexed' }
  await admin.patch('CronJob', metadata.name, { spec: { jobTemplate: { spec: stopped } } })
  await waitFor(() => saw('cron-jobs.drifted').length > 0, { deadlineMs: 30_000 })
  const repaired = await ours()
  const expected = { suspend: false, parallelism: 1, completions: 1, completionMode: 'NonIndexed' }
  expect(repaired.spec).toMatchObject({ jobTemplate: { spec: expected } })
})

test('what others add stays, and is told as that and not as repaired', async () => {
  const { saw } = start()
  await save()
  const { metadata } = await ours()
  const nodeSelector = { disk: 'fast' }
  await admin.patch('CronJob', metadata.name, {
    spec: { jobTemplate: { spec: { template: { spec: { nodeSelector } } } } },
  })
  await waitFor(() => saw('cron-jobs.added-to').length > 0, {
    deadlineMs: 30_000,
    describe: () => saw('cron-jobs.drifted'),
  })
  const turns = saw('cron-jobs.seen').length
  await waitFor(() => saw('cron-jobs.seen').length > turns + 5)
  expect(saw('cron-jobs.added-to')).toEqual([{ kind: 'cron-jobs.added-to', count: 1, objects: [metadata.name] }])
  expect(saw('cron-jobs.drifted')).toEqual([])
  expect((await ours()).spec).toMatchObject({ jobTemplate: { spec: { template: { spec: { nodeSelector } } } } })
})

test('labels and the owner are repaired too', async () => {
  const { saw } = start()
  await save()
  const { metadata } = await ours()
  await admin.patch('CronJob', metadata.name, { metadata: { labels: null, ownerReferences: null } })
  await waitFor(() => saw('cron-jobs.drifted').length > 0, { deadlineMs: 30_000 })
  const repaired = await ours()
  expect(repaired.metadata).toMatchObject({ uid: metadata.uid, labels: metadata.labels, ownerReferences: [{}] })
})

test('an admission policy refuses in its own words, at the step, until it does not', async () => {
  const { name } = namespace
  const apiVersion = 'admissionregistration.k8s.io/v1'
  const policies = `/apis/${apiVersion}/validatingadmissionpolicies`
  const bindings = `/apis/${apiVersion}/validatingadmissionpolicybindings`
  const message = 'no CronJob on a Friday'
  await namespace.ask('POST', policies, {
    apiVersion,
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name },
    spec: {
      matchConstraints: {
        resourceRules: [{ apiGroups: ['batch'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['cronjobs'] }],
      },
      validations: [{ expression: 'false', message }],
    },
  })
  await namespace.ask('POST', bindings, {
    apiVersion,
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name },
    spec: {
      policyName: name,
      validationActions: ['Deny'],
      matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } },
    },
  })
  const isRefused = async (): Promise<boolean> =>
    admin.make(foreignCronJob('probe')).then(
      async () => {
        await admin.remove('CronJob', 'probe')
        return false
      },
      () => true,
    )
  // The API server hears of a policy some moments after it is there.
  await waitFor(isRefused, { deadlineMs: 30_000, pauseMs: pollMs })
  const { saw } = start()
  await save()
  expect((await state('refused'))?.reason).toContain(message)
  expect(saw('cron-jobs.refused')).toMatchObject([{ count: 1, reason: expect.stringContaining(message) }])
  await namespace.ask('DELETE', `${bindings}/${name}`)
  await namespace.ask('DELETE', `${policies}/${name}`)
  await state('applied')
})

test('an API server that is away is waited for, and told of where something waits for it', async () => {
  const { saw } = start()
  const workflow = await save()
  await state('applied')
  await way.leave()
  await saveAgain(workflow, {}, { schedule: '5 * * * *' })
  expect((await state('unreachable'))?.reason).toMatch(/ECONNREFUSED|ECONNRESET|other side closed/)
  await waitFor(() => saw('cluster.unavailable').length > 5, { deadlineMs: 30_000 })
  await way.comeBack()
  await state('applied')
  await ours(({ schedule }) => schedule === '5 * * * *')
  expect(saw('loop.failed')).toEqual([])
})

const isApply = ({ method }: SeenRequest): boolean => method === 'PATCH'

test('429, 409, an answer that is lost and a connection that is cut delay a change, and lose none', async () => {
  const { saw } = start()
  const workflow = await save()
  await state('applied')
  const troubles = [
    refusal(429, 'TooManyRequests', 'slow down', 1),
    refusal(409, 'Conflict', 'the object has been modified'),
    { kind: 'lose' },
    { kind: 'cut' },
  ] as const
  for (const [index, trouble] of troubles.entries()) {
    const standing = way.make(trouble, isApply, 1)
    const schedule = `${index + 10} * * * *`
    await saveAgain(workflow, {}, { schedule })
    await ours((spec) => spec.schedule === schedule)
    await state('applied')
    expect(standing.met()).toBe(1)
  }
  expect(saw('cron-jobs.drifted')).toEqual([])
  expect(saw('loop.failed')).toEqual([])
})

test('without a word from its watch it finds what was changed by the next list', async () => {
  const { saw } = start({ resyncMs: 2_000 })
  await save()
  const { metadata } = await ours()
  way.make({ kind: 'hang' }, watchOf('cronjobs'))
  await admin.patch('CronJob', metadata.name, { spec: { suspend: true } })
  await ours(({ suspend }) => suspend === false)
  await waitFor(() => saw('cron-jobs.drifted').length === 1)
})

test('while the anchor is gone nothing is written', async () => {
  const { saw } = start({ resyncMs: 1_000 })
  await save()
  const { metadata } = await ours()
  await admin.remove('ConfigMap', anchorName)
  await waitFor(() => saw('anchor.missing').length > 0, { deadlineMs: 30_000 })
  // What hangs on it a controller removes, in a cluster that has one.
  await Promise.allSettled([admin.remove('CronJob', metadata.name)])
  await save('contacts')
  await waitFor(async () => (await states()).every((one) => one === 'unreachable'), {
    deadlineMs: 30_000,
    describe: states,
  })
  expect(await admin.cronJobs()).toEqual([])
})

const states = async () =>
  shown.parse((await api.send('GET', '/v1/cron-jobs')).body).items.map((item) => item.actual.state)

test.runIf(startsApiServers())('each verb that it may use it uses, and no other', async () => {
  const { loop } = start()
  const workflow = await save()
  await state('applied')
  await saveAgain(workflow, {}, { schedule: '5 * * * *' })
  await ours(({ schedule }) => schedule === '5 * * * *')
  await api.send('DELETE', `/v1/workflows/${workflow.id}`)
  await waitFor(async () => (await admin.cronJobs()).length === 0, { deadlineMs: 30_000, pauseMs: pollMs })
  await loop.stop()
  const user = `system:serviceaccount:${namespace.name}:control-plane`
  const asked = () => readAuditLog(inject('apiServer').auditLog ?? '', user)
  await waitFor(() => asked().some(({ verb }) => verb === 'delete'))
  const used = new Set(asked().map(({ verb, objectRef }) => `${verb} ${objectRef?.resource}`))
  // A patch that makes an object needs to be allowed to create it, and is written down as a patch.
  const granted = rules.flatMap(({ resources, verbs }) => verbs.map((verb) => `${verb} ${resources[0]}`))
  expect(used).toEqual(new Set(granted.filter((grant) => grant !== 'create cronjobs')))
  expect(asked().filter(({ responseStatus }) => responseStatus?.code === 403)).toEqual([])
})
