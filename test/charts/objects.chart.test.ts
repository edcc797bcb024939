import { expect, test } from 'vitest'
import * as z from 'zod'
import { granted } from '../../control-plane/test/granted.ts'
import { type Manifest, objectsOf, podsOf } from './support/manifests.ts'
import { least, matrix, render, valuesFile } from './support/render.ts'

const texts = z.record(z.string(), z.string())
const selects = z.object({ matchLabels: texts })

const isSelected = (selector: Record<string, string>, labels: Record<string, string>): boolean =>
  Object.entries(selector).every(([name, value]) => labels[name] === value)

/** The labels of the pods that there will be, by who makes them. */
const labelsOfPods = (manifests: readonly Manifest[]): Map<string, Record<string, string>> =>
  new Map(podsOf(manifests).map(({ owner, template }) => [owner, template.metadata.labels]))

test.each(matrix)(
  'objects lie in the release’s namespace, under names that are theirs and fit: $title',
  async (release) => {
    const manifests = await render(release)
    const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`)
    expect(new Set(names).size).toBe(names.length)
    for (const { metadata, kind } of manifests) {
      expect(metadata.namespace, kind).toBe(release.namespace ?? 'shop')
      expect(metadata.name, kind).toMatch(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/)
      for (const value of Object.values(metadata.labels))
        expect(value).toMatch(/^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/)
      expect(metadata.labels['app.kubernetes.io/instance'], kind).toBe(release.name ?? 'my')
    }
  },
)

test.each(['team.leads', `${'a'.repeat(24)}.team-x`])(
  'a name with dots, as Helm takes it, gives names that fit: %s',
  async (name) => {
    for (const { kind, metadata } of await render({ name, files: [least] })) {
      expect(metadata.name, kind).toMatch(/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/)
    }
  },
)

test('a label of the values takes the place of the chart’s own, in objects and in pods, and none is there twice', async () => {
  const name = 'app.kubernetes.io/part-of'
  // What has a key twice is no YAML to the parser.
  const manifests = await render({
    files: [least],
    values: { commonLabels: { [name]: 'crm' }, cron: { pods: { labels: { [name]: 'ticks' } } } },
  })
  const ofObjects = manifests.filter(({ metadata }) => metadata.name !== 'my-esteira-anchor')
  expect(new Set(ofObjects.map(({ metadata }) => metadata.labels[name]))).toEqual(new Set(['crm']))
  expect(Object.fromEntries([...labelsOfPods(manifests)].map(([owner, labels]) => [owner, labels[name]]))).toEqual({
    'ConfigMap my-esteira-cron-pod': 'ticks',
    'Deployment my-esteira-control-plane': 'crm',
  })
})

test('a service account and a name to find nodes by are text, whatever they look like', async () => {
  const serviceAccount = { name: '1_000' }
  const manifests = await render({
    files: [least],
    values: { controlPlane: { serviceAccount }, cron: { serviceAccount }, pods: { topologySpreadKeys: ['7'] } },
  })
  const pods = podsOf(manifests)
  expect(new Set(pods.map(({ template }) => template.spec.serviceAccountName))).toEqual(new Set(['1_000']))
  expect(pods.flatMap(({ template }) => template.spec.topologySpreadConstraints.map((one) => one.topologyKey))).toEqual(
    ['7'],
  )
  const binding = z.object({ subjects: z.array(z.object({ name: z.string(), namespace: z.string() })) })
  expect(objectsOf(manifests, 'RoleBinding', binding)[0]?.subjects).toEqual([{ name: '1_000', namespace: 'shop' }])
})

test('two releases whose long names begin alike share no object', async () => {
  const nameOf = async (name: string) =>
    (await render({ name, files: [least] })).map(({ kind, metadata }) => `${kind} ${metadata.name}`)
  const [one, other] = await Promise.all([
    nameOf('a-release-with-quite-a-long-name-one'),
    nameOf('a-release-with-quite-a-long-name-two'),
  ])
  expect(one.filter((name) => other.includes(name))).toEqual([])
})

test.each(matrix)('each selector finds the pods that it is for, and no others: $title', async (release) => {
  const manifests = await render(release)
  const pods = labelsOfPods(manifests)
  const found = (selector: Record<string, string>) =>
    [...pods].flatMap(([owner, labels]) => (isSelected(selector, labels) ? [owner] : []))
  const spec = z.object({ spec: z.object({ selector: selects }) })
  for (const {
    name,
    spec: { selector },
  } of objectsOf(manifests, 'Deployment', spec)) {
    expect(found(selector.matchLabels)).toEqual([`Deployment ${name}`])
  }
  for (const {
    name,
    spec: { selector },
  } of objectsOf(manifests, 'PodDisruptionBudget', spec)) {
    expect(found(selector.matchLabels)).toEqual([`Deployment ${name}`])
  }
  for (const {
    name,
    spec: { selector },
  } of objectsOf(manifests, 'Service', z.object({ spec: z.object({ selector: texts }) }))) {
    expect(found(selector)).toEqual([`Deployment ${name}`])
  }
  for (const { owner, template } of podsOf(manifests)) {
    const { topologySpreadConstraints: spread } = template.spec
    if (owner.startsWith('Deployment')) {
      expect(spread.map(({ topologyKey }) => topologyKey)).toEqual([
        'kubernetes.io/hostname',
        'topology.kubernetes.io/zone',
      ])
    }
    for (const { labelSelector } of spread) expect(found(labelSelector.matchLabels)).toEqual([owner])
  }
  const policies = objectsOf(manifests, 'NetworkPolicy', z.object({ spec: z.object({ podSelector: selects }) }))
  const covered = policies.flatMap(({ spec: { podSelector } }) => found(podSelector.matchLabels))
  expect(covered.toSorted()).toEqual([...pods.keys()].toSorted())
})

test.each(matrix)('each pod has a service account of its own that is there: $title', async (release) => {
  const manifests = await render(release)
  const accounts = objectsOf(manifests, 'ServiceAccount', z.object({ automountServiceAccountToken: z.literal(false) }))
  const used = podsOf(manifests).map(({ template }) => template.spec.serviceAccountName ?? 'none')
  expect(accounts.map(({ name }) => name).toSorted()).toEqual(used.toSorted())
})

test('a service account that exists is used in place of one of its own, by the Role as well', async () => {
  const there = { serviceAccount: { name: 'there' } }
  const manifests = await render({
    files: [least],
    values: { controlPlane: there, cron: there, workers: { 'database-query': there } },
  })
  expect(manifests.filter(({ kind }) => kind === 'ServiceAccount')).toEqual([])
  expect(new Set(podsOf(manifests).map(({ template }) => template.spec.serviceAccountName))).toEqual(new Set(['there']))
  const binding = z.object({ subjects: z.array(z.unknown()) })
  expect(objectsOf(manifests, 'RoleBinding', binding)[0]?.subjects).toEqual([
    { kind: 'ServiceAccount', name: 'there', namespace: 'shop' },
  ])
})

test('the control plane may do with CronJobs what the reconciler does, and read its anchor; nothing in the whole cluster', async () => {
  const manifests = await render({ files: [least] })
  const [role, ...others] = objectsOf(manifests, 'Role', z.object({ rules: z.unknown() }))
  expect(others).toEqual([])
  // With these and no others the audit log of an API server says that each verb is used.
  expect(role?.rules).toEqual(granted('my-esteira-anchor'))
  const binding = z.object({
    roleRef: z.object({ kind: z.string(), name: z.string() }),
    subjects: z.array(z.unknown()),
  })
  expect(objectsOf(manifests, 'RoleBinding', binding)).toMatchObject([
    {
      roleRef: { kind: 'Role', name: role?.name },
      subjects: [{ kind: 'ServiceAccount', name: 'my-esteira-control-plane', namespace: 'shop' }],
    },
  ])
  expect(manifests.filter(({ kind }) => kind.startsWith('Cluster'))).toEqual([])
})

test('a Role may be left to somebody who may grant rights; it is for the account of the control plane', async () => {
  const values = { controlPlane: { rbac: { create: false } } }
  const manifests = await render({ files: [least], values })
  expect(manifests.filter(({ kind }) => kind.startsWith('Role'))).toEqual([])
  const whole = await render({ files: [least] })
  expect(manifests).toEqual(whole.filter(({ kind }) => !kind.startsWith('Role')))
})

test('annotations of Deployments are theirs alone', async () => {
  const manifests = await render({ files: [valuesFile('everything')] })
  const annotated = manifests.filter(({ metadata }) => metadata.annotations['example.com/restart'] !== undefined)
  const deployments = manifests.filter(({ kind }) => kind === 'Deployment')
  expect(annotated.map(({ metadata }) => metadata.name)).toEqual(deployments.map(({ metadata }) => metadata.name))
  const ofPods = podsOf(manifests).map(({ template }) => template.metadata.annotations['example.com/restart'])
  expect(new Set(ofPods)).toEqual(new Set([undefined]))
})

test('without ticks nobody has rights, and there is nothing for pods of ticks', async () => {
  const manifests = await render({ files: [least], set: ['cron.enabled=false'] })
  const kinds = manifests.map(({ kind }) => kind)
  expect(kinds).not.toContain('Role')
  expect(kinds).not.toContain('RoleBinding')
  expect(kinds).not.toContain('ConfigMap')
  expect(manifests.filter(({ metadata }) => metadata.name.includes('cron'))).toEqual([])
})

test('a rollout is not given up while migrations may run, or a worker may still load', async () => {
  const spec = z.object({ spec: z.object({ progressDeadlineSeconds: z.int().optional() }) })
  for (const startupSeconds of [60, 600, 3_600]) {
    const values = { controlPlane: { startupSeconds }, workerDefaults: { startupSeconds } }
    const files = [least, valuesFile('own-functions')]
    const deployments = objectsOf(await render({ files, values }), 'Deployment', spec)
    expect(deployments.length).toBeGreaterThan(1)
    // 600 where nothing is said.
    for (const { spec: said, name } of deployments)
      expect(said.progressDeadlineSeconds ?? 600, name).toBeGreaterThan(startupSeconds)
  }
})

test('a budget never keeps a node from being drained', async () => {
  const spec = z.object({
    spec: z.object({ maxUnavailable: z.literal(1), unhealthyPodEvictionPolicy: z.literal('AlwaysAllow') }),
  })
  expect(objectsOf(await render({ files: [valuesFile('everything')] }), 'PodDisruptionBudget', spec)).toHaveLength(4)
})

test('pods may be reached at the API from the namespace alone, and at their metrics by who is named', async () => {
  const spec = z.object({
    spec: z.object({ ingress: z.array(z.unknown()).default([]), egress: z.array(z.unknown()).optional() }),
  })
  const ingressOf = (manifests: readonly Manifest[]) =>
    objectsOf(manifests, 'NetworkPolicy', spec).map(({ name, spec: { ingress } }) => [name, ingress])
  expect(ingressOf(await render({ files: [least] }))).toEqual([
    ['my-esteira-control-plane', [{ from: [{ podSelector: {} }], ports: [{ port: 'http' }] }]],
    ['my-esteira-cron-job', []],
    ['my-esteira-worker', []],
  ])
  const all = await render({ files: [valuesFile('everything')] })
  const from = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'observability' } } }]
  expect(ingressOf(all)).toMatchObject([
    ['my-esteira-control-plane', [{ ports: [{ port: 'http' }] }, { from, ports: [{ port: 9999 }, { port: 'http' }] }]],
    ['my-esteira-cron-job', []],
    ['my-esteira-worker', [{ from, ports: [{ port: 9999 }, { port: 'health' }] }]],
  ])
  const dns = {
    ports: [
      { port: 53, protocol: 'UDP' },
      { port: 53, protocol: 'TCP' },
    ],
  }
  const named = { ports: [{ port: 5432 }, { port: 5672 }, { port: 6443 }, { port: 4318 }] }
  expect(objectsOf(all, 'NetworkPolicy', spec).map((policy) => policy.spec.egress)).toEqual([
    [dns, named],
    [dns, named],
    [dns, named, { ports: [{ port: 443 }] }],
  ])
})

test('a PodMonitor looks at every port that metrics are served on, by its name', async () => {
  const manifests = await render({ files: [valuesFile('everything')] })
  const spec = z.object({ spec: z.object({ podMetricsEndpoints: z.array(z.object({ port: z.string() })) }) })
  const looksAt = objectsOf(manifests, 'PodMonitor', spec).flatMap((monitor) => monitor.spec.podMetricsEndpoints)
  const standing = podsOf(manifests).filter(({ isJob }) => !isJob)
  const served = standing.flatMap(({ main, relay }) => [...main.ports, ...relay.ports].map(({ name }) => name))
  expect(looksAt.map(({ port }) => port).toSorted()).toEqual([...new Set(served)].toSorted())
  expect((await render({ files: [least] })).map(({ kind }) => kind)).not.toContain('PodMonitor')
})
