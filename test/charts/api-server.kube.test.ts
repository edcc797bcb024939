import { createNamespace, type TestNamespace } from '@esteira/test/cluster'
import { waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { cronJobOf } from './support/cron-job-of.ts'
import { foreignKinds } from './support/foreign-kinds.ts'
import type { Release } from './support/helm.ts'
import { podsOf } from './support/manifests.ts'
import { least, matrix, render, valuesFile } from './support/render.ts'

let namespace: TestNamespace
/** Kinds that the cluster did not have. */
const lent: string[] = []

beforeAll(async () => {
  namespace = await createNamespace()
  const there = await namespace.kubectl(['get', 'customresourcedefinitions', '--output', 'name'])
  for (const kind of foreignKinds) {
    if (there.includes(kind.metadata.name)) continue
    await namespace.kubectl(['create', '--filename', '-'], kind)
    lent.push(kind.metadata.name)
  }
  for (const name of lent) {
    await namespace.kubectl([
      'wait',
      '--for=condition=Established',
      `customresourcedefinition/${name}`,
      '--timeout=60s',
    ])
  }
})

afterAll(async () => {
  for (const name of lent) await namespace.kubectl(['delete', 'customresourcedefinition', name])
  await namespace.drop()
})

const listOf = (items: readonly object[]) => ({ apiVersion: 'v1', kind: 'List', items })

/** Asks the API server what it would do, with every field that it does not know as a fault. */
const tryOut = (items: readonly object[]): Promise<string> =>
  namespace.kubectl(
    ['apply', '--server-side', '--dry-run=server', '--validate=strict', '--output', 'name', '--filename', '-'],
    listOf(items),
  )

const releases: readonly (Release & { title: string })[] = [
  ...matrix,
  { title: 'the shop', chart: 'examples/shop' },
  {
    title: 'the shop under a name as long as helm will have it, and with a dot',
    chart: 'examples/shop',
    name: '2nd.shop-whose-name-is-as-long-as-helm-will-have-it-0',
  },
]

test.each(releases)('the API server takes every object of a release: $title', async ({ title: _title, ...release }) => {
  const manifests = await render({ ...release, namespace: namespace.name })
  const taken = (await tryOut(manifests)).trim().split('\n')
  expect(taken).toHaveLength(manifests.length)
})

test('a field that does not exist is told, so what was taken is known', async () => {
  const manifests = await render({ files: [least], namespace: namespace.name })
  const deployment = manifests.find(({ kind }) => kind === 'Deployment')
  await expect(tryOut([{ ...deployment, spec: { replicass: 2 } }])).rejects.toThrow('replicass')
})

test.each(matrix.filter(({ set = [] }) => !set.includes('cron.enabled=false')))(
  'it takes the CronJob that the control plane makes of the template: $title',
  async ({ title: _title, ...release }) => {
    const cronJob = cronJobOf(await render({ ...release, namespace: namespace.name }))
    expect(await tryOut([cronJob ?? expect.fail()])).toContain('cronjob.batch/leads-every-hour')
  },
)

test('pods of all kinds are let into a namespace that takes only restricted ones', async () => {
  const secure = await createNamespace()
  try {
    const enforce = 'pod-security.kubernetes.io/enforce=restricted'
    await secure.kubectl(['label', 'namespace', secure.name, enforce])
    const releasesHere = [{ files: [least, valuesFile('own-functions')] }, { chart: 'examples/shop' }]
    const manifests = (
      await Promise.all(releasesHere.map((release) => render({ ...release, namespace: secure.name })))
    ).flat()
    const accounts = manifests.filter(({ kind }) => kind === 'ServiceAccount')
    const ofShop = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } }
    await secure.kubectl(['apply', '--filename', '-'], listOf([...accounts, ofShop]))
    const pods = podsOf(manifests).map(({ template: { metadata, spec } }, index) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod-${index}`, labels: metadata.labels },
      spec,
    }))
    expect(pods.length).toBeGreaterThan(7)
    const dryRun = ['create', '--dry-run=server', '--output', 'name', '--filename', '-']
    const made = await secure.kubectl(dryRun, listOf(pods))
    expect(made.trim().split('\n')).toHaveLength(pods.length)
    const [pod] = pods
    const asRoot = { ...pod, spec: { ...pod?.spec, securityContext: { runAsUser: 0 } } }
    await expect(secure.kubectl(dryRun, asRoot)).rejects.toThrow('restricted')
  } finally {
    await secure.drop()
  }
})

type What = { group?: string; resource: string; name?: string }

const answer = z.object({ status: z.object({ allowed: z.boolean() }) })

test('the control plane may do what the reconciler does, and nothing else', async () => {
  const here = await createNamespace()
  try {
    const manifests = await render({ files: [least], namespace: here.name })
    const rights = manifests.filter(({ kind }) => ['ServiceAccount', 'Role', 'RoleBinding'].includes(kind))
    await here.kubectl(['apply', '--filename', '-'], listOf(rights))
    const may = async (account: string, verb: string, what: What, where = here.name): Promise<boolean> => {
      const review = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user: `system:serviceaccount:${here.name}:my-esteira-${account}`,
          groups: ['system:serviceaccounts', `system:serviceaccounts:${here.name}`, 'system:authenticated'],
          resourceAttributes: { namespace: where, verb, ...what },
        },
      }
      return answer.parse(await here.ask('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', review)).status
        .allowed
    }
    const cronJobs = { group: 'batch', resource: 'cronjobs' }
    const anchor = { resource: 'configmaps', name: 'my-esteira-anchor' }
    // The API server hears of a binding some moments after it is there.
    await waitFor(() => may('control-plane', 'get', anchor))
    for (const verb of ['get', 'list', 'watch', 'create', 'patch', 'delete']) {
      expect(await may('control-plane', verb, cronJobs), verb).toBe(true)
      expect(await may('control-plane', verb, cronJobs, 'default'), verb).toBe(false)
      expect(await may('cron-job', verb, cronJobs), verb).toBe(false)
    }
    for (const [verb, what] of [
      ['update', cronJobs],
      ['deletecollection', cronJobs],
      ['list', { resource: 'configmaps' }],
      ['get', { resource: 'configmaps', name: 'another' }],
      ['patch', anchor],
      ['get', { resource: 'secrets' }],
      ['create', { group: 'batch', resource: 'jobs' }],
      ['list', { resource: 'pods' }],
    ] as const) {
      expect(await may('control-plane', verb, what), `${verb} ${what.resource}`).toBe(false)
    }
  } finally {
    await here.drop()
  }
})
