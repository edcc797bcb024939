import { waitFor } from '@esteira/test/support'
import { refusal, type SeenRequest, watchOf } from '@esteira/test/cluster'
import { expect, test } from 'vitest'
import { cronStep } from '../../test/cron-step.ts'
import { podTemplate } from '../../test/pod-template.ts'
import { admin, anchorName, cluster, foreignCronJob, namespace, useRelease, way } from '../../test/use-release.ts'
import { openCluster } from './cluster/open-cluster.ts'
import type { Seen } from './cluster/watch-cron-jobs.ts'
import { cronJobManifest, type CronJobManifest } from './cron-job-manifest.ts'
import { type CronJobs, cronJobsOf } from './cron-jobs.ts'
import type { Actual } from './plan-changes.ts'

useRelease()

const never = new AbortController().signal
const name = 'leads-every-hour-1'
const mould = { anchor: anchorName, database: 'this', template: podTemplate }

const manifestOf = (schedule = '0 * * * *', as = name) =>
  cronJobManifest(cronStep({ config: { schedule } }), { name: as, mould }).manifest

/** The port, and the anchor that what is made through it hangs on. */
const open = async () => {
  const cronJobs = cronJobsOf(cluster, anchorName, never)
  const anchor = await cronJobs.anchor()
  if (anchor.kind !== 'ok') throw new Error(`the anchor is there: ${anchor.words}`)
  const apply = (manifest: CronJobManifest, uid: string | null) =>
    cronJobs.apply({ manifest, anchor: anchor.value, uid })
  return { cronJobs, apply }
}

const made = async (answer: ReturnType<CronJobs['apply']>): Promise<Actual> => {
  const ended = await answer
  if (ended.kind !== 'ok') throw new Error(`${ended.kind}: ${ended.words}`)
  return ended.value
}

const isWrite = ({ method }: SeenRequest): boolean => method === 'PATCH'

test('what is applied is a CronJob of this cluster, which owns it by the anchor', async () => {
  const { apply } = await open()
  const object = await made(apply(manifestOf(), null))
  const anchor = await admin.get('ConfigMap', anchorName)
  expect(object).toMatchObject({ name, generation: 1, deleting: false, owners: [anchor.metadata.uid] })
  const stored = await admin.get('CronJob', name)
  expect(stored.spec).toMatchObject({
    schedule: '0 * * * *',
    timeZone: 'UTC',
    concurrencyPolicy: 'Allow',
    startingDeadlineSeconds: 120,
    jobTemplate: { spec: { template: { spec: { restartPolicy: 'Never' } } } },
  })
})

test('applied again it stays as it is, and a change keeps the uid', async () => {
  const { apply } = await open()
  const object = await made(apply(manifestOf(), null))
  expect(await made(apply(manifestOf(), object.uid))).toEqual(object)
  expect(await made(apply(manifestOf('5 * * * *'), object.uid))).toMatchObject({ uid: object.uid, generation: 2 })
})

test('a status leaves the generation, and whatever is done to the spec raises it', async () => {
  const { apply } = await open()
  const object = await made(apply(manifestOf(), null))
  const lastScheduleTime = '2026-03-10T09:00:00Z'
  await admin.patch('CronJob', name, { status: { lastScheduleTime } }, '--subresource', 'status')
  expect((await admin.get('CronJob', name)).metadata.generation).toBe(1)
  await admin.patch('CronJob', name, { spec: { schedule: '1 1 1 1 *' } })
  await admin.patch('CronJob', name, { spec: { schedule: '0 * * * *' } })
  expect((await admin.get('CronJob', name)).metadata.generation).toBe(3)
  expect(await made(apply(manifestOf(), object.uid))).toMatchObject({ generation: 3 })
})

test('what others wrote over is taken back, and what they added stays', async () => {
  const { apply } = await open()
  const { uid } = await made(apply(manifestOf(), null))
  await admin.patch('CronJob', name, {
    metadata: { labels: { team: 'crm', 'app.kubernetes.io/managed-by': 'them' } },
    spec: { schedule: '1 1 1 1 *', suspend: true },
  })
  await made(apply(manifestOf(), uid))
  const stored = await admin.get('CronJob', name)
  expect(stored.spec).toMatchObject({ schedule: '0 * * * *', suspend: false })
  expect(stored.metadata.labels).toMatchObject({ team: 'crm', 'app.kubernetes.io/managed-by': 'esteira' })
})

test('nothing is written over a CronJob that has the name already', async () => {
  const { apply } = await open()
  const foreign = await admin.make(foreignCronJob(name))
  expect(await apply(manifestOf(), null)).toMatchObject({ kind: 'refused', code: 'Conflict' })
  expect(await admin.get('CronJob', name)).toEqual(foreign)
})

test('nor over one that has taken the name of an object that is gone, and none is made in its place', async () => {
  const { apply } = await open()
  const { uid } = await made(apply(manifestOf(), null))
  await admin.remove('CronJob', name)
  expect(await apply(manifestOf(), uid)).toMatchObject({ kind: 'refused', code: 'Conflict' })
  const foreign = await admin.make(foreignCronJob(name))
  const words = expect.stringContaining('metadata.uid')
  expect(await apply(manifestOf(), uid)).toMatchObject({ kind: 'refused', code: 'Invalid', words })
  expect(await admin.get('CronJob', name)).toEqual(foreign)
})

test('a delete is of one object and of no other of its name', async () => {
  const { apply, cronJobs } = await open()
  const { uid } = await made(apply(manifestOf(), null))
  const other = '00000000-0000-4000-8000-000000000000'
  expect(await cronJobs.remove({ name, uid: other })).toMatchObject({ kind: 'refused', code: 'Conflict' })
  expect(await cronJobs.remove({ name, uid })).toEqual({ kind: 'ok', value: null })
  expect(await cronJobs.remove({ name, uid })).toMatchObject({ kind: 'missing' })
})

test('a list has ours and no others', async () => {
  const { apply, cronJobs } = await open()
  const object = await made(apply(manifestOf(), null))
  await admin.make(foreignCronJob('theirs'))
  await admin.make(
    foreignCronJob('of-another-release', { labels: { ...object.labels, 'esteira.dev/anchor': 'other' } }),
  )
  expect(await cronJobs.list()).toMatchObject({ kind: 'ok', value: { items: [object] } })
})

test('a field that Kubernetes does not know is refused, and named', async () => {
  const { apply } = await open()
  const manifest = manifestOf()
  Object.assign(manifest.spec, { suspnd: true })
  const words = expect.stringContaining('.spec.suspnd: field not declared in schema')
  expect(await apply(manifest, null)).toMatchObject({ kind: 'refused', words })
})

test('a schedule that Kubernetes reads in another way is refused in its words', async () => {
  const { apply } = await open()
  const words = expect.stringContaining('spec.timeZone: Invalid value: "america/sao_paulo"')
  const step = cronStep({ config: { timeZone: 'america/sao_paulo' } })
  const { manifest } = cronJobManifest(step, { name, mould })
  expect(await apply(manifest, null)).toMatchObject({ kind: 'refused', code: 'Invalid', words })
})

test('who may not write is told so', async () => {
  const reading = [
    { apiGroups: ['batch'], resources: ['cronjobs'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: [''], resources: ['configmaps'], verbs: ['get'] },
  ]
  const reader = await openCluster({ kubeconfig: await namespace.serviceAccount('reader', reading), namespace: null })
  const anchor = { name: anchorName, uid: 'x' }
  const answer = await cronJobsOf(reader, anchorName, never).apply({ manifest: manifestOf(), anchor, uid: null })
  const words = expect.stringMatching(/cannot patch resource "cronjobs" in API group "batch" in the namespace/)
  expect(answer).toMatchObject({ kind: 'refused', code: 'Forbidden', words })
  await reader.close()
})

/** A quota as it is when somebody counts for it, which in these tests nobody does. */
const quota = async (most: number) => {
  const hard = { 'count/cronjobs.batch': String(most) }
  await admin.make({ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'few' }, spec: { hard } })
  const status = { hard, used: { 'count/cronjobs.batch': '0' } }
  await admin.patch('ResourceQuota', 'few', { status }, '--subresource', 'status')
}

test('a quota refuses in its own words', async () => {
  const { apply } = await open()
  await quota(0)
  const words = expect.stringMatching(/exceeded quota: few, requested: count\/cronjobs\.batch=1, used: .*, limited: /)
  await waitFor(async () => (await apply(manifestOf(), null)).kind === 'refused')
  expect(await apply(manifestOf(), null)).toMatchObject({ kind: 'refused', code: 'Forbidden', words })
})

test('a server that asks for time is not a refusal, and says for how long', async () => {
  const { apply, cronJobs } = await open()
  way.make(refusal(429, 'TooManyRequests', 'slow down', 7), () => true)
  const later = { kind: 'later', words: 'slow down', afterMs: 7_000 }
  expect(await apply(manifestOf(), null)).toEqual(later)
  expect(await cronJobs.list()).toEqual(later)
  expect(await cronJobs.anchor()).toEqual(later)
})

test('an answer that is lost is no answer: it may have been done', async () => {
  const { apply, cronJobs } = await open()
  way.make({ kind: 'lose' }, isWrite, 1)
  expect(await apply(manifestOf(), null)).toMatchObject({ kind: 'unknown' })
  expect(await cronJobs.find(name)).toMatchObject({ kind: 'ok', value: { name } })
})

test('an API server that is away, and one that hangs, end a call without an answer', async () => {
  const { cronJobs } = await open()
  const hanging = way.make({ kind: 'hang' }, () => true)
  expect(await cronJobs.list()).toMatchObject({ kind: 'unknown', words: 'no answer within 15 s' })
  hanging.lift()
  await way.leave()
  expect(await cronJobs.list()).toMatchObject({ kind: 'unknown', words: expect.stringContaining('ECONNREFUSED') })
  await way.comeBack()
  expect(await cronJobs.list()).toMatchObject({ kind: 'ok' })
})

test('the anchor is missing when it is gone', async () => {
  const { cronJobs } = await open()
  await admin.remove('ConfigMap', anchorName)
  expect(await cronJobs.anchor()).toMatchObject({ kind: 'missing', words: `configmaps "${anchorName}" not found` })
})

/** A watch from now on, and what it has told. */
const watching = async (cronJobs: CronJobs, seconds: number) => {
  const listed = await cronJobs.list()
  if (listed.kind !== 'ok') throw new Error(listed.words)
  const seen: Seen[] = []
  const end = new AbortController()
  const options = { from: listed.value.resourceVersion, seconds, onSeen: (one: Seen) => seen.push(one) }
  const ended = cronJobs.watch(options, end.signal)
  return { seen, ended, end: () => end.abort() }
}

test('a watch tells of ours what happens, and ends in its time', async () => {
  const { apply, cronJobs } = await open()
  const { seen, ended } = await watching(cronJobs, 4)
  const object = await made(apply(manifestOf(), null))
  await admin.make(foreignCronJob('theirs'))
  await admin.patch('CronJob', name, { spec: { suspend: true } })
  await admin.remove('CronJob', name)
  await waitFor(() => seen.length === 3, { describe: () => seen })
  expect(seen.map(({ deleted, object: { uid, generation } }) => [deleted, uid, generation])).toEqual([
    [false, object.uid, 1],
    [false, object.uid, 2],
    [true, object.uid, 2],
  ])
  expect(seen[0]?.object).toEqual(object)
  expect(await ended).toEqual({ kind: 'ended' })
})

test('a watch that hangs, or is cut, ends all the same', async () => {
  const { cronJobs } = await open()
  const hung = await watching(cronJobs, 1)
  await waitFor(() => way.watches() === 1)
  const hanging = way.make({ kind: 'hang' }, watchOf('cronjobs'))
  expect(await hung.ended).toEqual({ kind: 'unknown', words: 'the watch did not end in its time' })
  hanging.lift()
  const cut = await watching(cronJobs, 30)
  await waitFor(() => way.watches() === 1)
  way.make({ kind: 'cut' }, watchOf('cronjobs'), 1)
  expect(await cut.ended).toMatchObject({ kind: 'unknown' })
})

test('a watch of a moment that was forgotten, and a page of one, are told apart from other troubles', async () => {
  const { apply, cronJobs } = await open()
  await made(apply(manifestOf(), null))
  way.make(refusal(410, 'Expired', 'too old resource version'), watchOf('cronjobs'), 1)
  const { ended } = await watching(cronJobs, 30)
  expect(await ended).toEqual({ kind: 'expired', words: 'too old resource version' })
  const isList = ({ isWatch, path }: SeenRequest) => !isWatch && path.endsWith('/cronjobs')
  const pages = way.make(refusal(410, 'Expired', 'the continue token is too old'), isList, 2)
  expect(await cronJobs.list()).toMatchObject({ kind: 'ok', value: { items: [{ name }] } })
  expect(pages.met()).toBe(2)
})

test('a kubeconfig that is not there is told by its name', async () => {
  await expect(openCluster({ kubeconfig: '/nowhere/config', namespace: null })).rejects.toMatchObject({
    code: 'cluster_config_invalid',
    message: expect.stringMatching(/^ESTEIRA_KUBECONFIG: \/nowhere\/config: ENOENT/),
  })
})
