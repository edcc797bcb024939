import { expect, test } from 'vitest'
import { parse } from 'yaml'
import * as z from 'zod'
import { type Manifest, objectsOf, podsOf, variableOf } from './support/manifests.ts'
import { least, render, valuesFile } from './support/render.ts'

const deployment = z.object({ spec: z.object({ replicas: z.int().optional() }) })

const replicasOf = (manifests: readonly Manifest[]) =>
  Object.fromEntries(objectsOf(manifests, 'Deployment', deployment).map(({ name, spec }) => [name, spec.replicas]))

test('a function of one’s own takes three lines', async () => {
  const lines = `
workers:
  messages-send:
    image: { repository: registry.example.com/messages-send, tag: 1.2.0 }
`
  const values: unknown = parse(lines)
  const manifests = await render({ files: [least], values: z.looseObject({}).parse(values) })
  const pod = podsOf(manifests).find(({ owner }) => owner === 'Deployment my-esteira-messages-send')
  expect(pod?.main).toMatchObject({ image: 'registry.example.com/messages-send:1.2.0', command: [], args: [] })
  expect(pod?.relay.image).toBe('localhost/esteira-relay:0.1.0')
})

test('a worker of the image is its program, under any name and as often as one likes', async () => {
  const pods = podsOf(
    await render({
      files: [least],
      values: { workers: { 'database-query': {}, reports: { program: 'database-query' } } },
    }),
  )
  for (const name of ['database-query', 'reports']) {
    const { main } = pods.find(({ owner }) => owner === `Deployment my-esteira-${name}`) ?? {}
    expect(main).toMatchObject({ image: 'localhost/esteira:0.1.0', args: ['/app/workers/database-query/src/main.ts'] })
  }
})

test('a folder of one’s own in the image is named as the program, and scaled by the functions that it is said to have', async () => {
  const manifests = await render({
    files: [least],
    values: {
      rabbitmq: { management: { secret: { name: 'management' } } },
      workers: {
        messages: { program: 'messages-send', functions: ['Messages.send'], autoscaling: { enabled: true } },
      },
    },
  })
  const { main } = podsOf(manifests).find(({ owner }) => owner === 'Deployment my-esteira-messages') ?? {}
  expect(main).toMatchObject({ image: 'localhost/esteira:0.1.0', args: ['/app/workers/messages-send/src/main.ts'] })
  const looked = objectsOf(manifests, 'ScaledObject', z.looseObject({ spec: z.looseObject({ triggers: z.unknown() }) }))
  expect(looked.map(({ spec }) => spec.triggers)).toEqual([
    [expect.objectContaining({ metadata: expect.objectContaining({ queueName: 'Messages.send' }) })],
  ])
})

test('what a worker says goes before what all workers are, also if it is nothing', async () => {
  const manifests = await render({
    files: [least],
    values: {
      workerDefaults: { replicas: 3, prefetch: 50 },
      workers: {
        'database-query': {},
        reports: { program: 'database-query', replicas: 0, prefetch: 7, podDisruptionBudget: { enabled: false } },
      },
    },
  })
  expect(replicasOf(manifests)).toMatchObject({ 'my-esteira-database-query': 3, 'my-esteira-reports': 0 })
  const prefetch = podsOf(manifests).flatMap(({ main }) => variableOf(main, 'ESTEIRA_PREFETCH')?.value ?? [])
  expect(prefetch.toSorted()).toEqual(['50', '7'])
  const budgets = manifests.filter(({ kind }) => kind === 'PodDisruptionBudget').map(({ metadata }) => metadata.name)
  expect(budgets.toSorted()).toEqual(['my-esteira-control-plane', 'my-esteira-database-query'])
})

test('connections are variables by reference, and Secrets whose keys steps may name are files', async () => {
  const pods = podsOf(await render({ files: [least, valuesFile('own-functions')] }))
  const { main: reports } = pods.find(({ owner }) => owner.endsWith('-reports')) ?? expect.fail()
  expect(variableOf(reports, 'ESTEIRA_CONNECTION_REPORTS_READ')).toEqual({
    name: 'ESTEIRA_CONNECTION_REPORTS_READ',
    valueFrom: { secretKeyRef: { name: 'reports-database', key: 'uri' } },
  })
  const { main: invoices, template } = pods.find(({ owner }) => owner.endsWith('-invoices')) ?? expect.fail()
  const folder = variableOf(invoices, 'ESTEIRA_SECRETS_DIR')?.value
  const mount = invoices.volumeMounts.find(({ mountPath }) => mountPath === folder)
  expect(template.spec.volumes.find(({ name }) => name === mount?.name)).toEqual({
    name: mount?.name,
    projected: { sources: [{ secret: { name: 'invoices-signing' } }] },
  })
})

test('a component with a role of its own has its Secret, and so has every relay', async () => {
  const pods = podsOf(await render({ files: [least, valuesFile('roles')] }))
  const secretOf = (of: 'main' | 'relay') =>
    Object.fromEntries(
      pods.map((pod) => [pod.owner, variableOf(pod[of], 'DATABASE_URL')?.valueFrom?.secretKeyRef?.name]),
    )
  expect(secretOf('main')).toEqual({
    'ConfigMap my-esteira-cron-pod': 'database-of-cron-job',
    'Deployment my-esteira-control-plane': 'database-of-control-plane',
    'Deployment my-esteira-database-query': 'database-of-worker',
    'Deployment my-esteira-messages-send': 'database-of-messages',
  })
  expect(new Set(Object.values(secretOf('relay')))).toEqual(new Set(['database-of-relay']))
})

test('KEDA scales a worker by the queues of its functions, down to none, and its Deployment does not say how many', async () => {
  const manifests = await render({ files: [least, valuesFile('scaled')] })
  expect(replicasOf(manifests)).toEqual({
    'my-esteira-control-plane': 1,
    'my-esteira-database-query': undefined,
    'my-esteira-invoices': undefined,
    'my-esteira-rd-station-get-leads': 1,
  })
  const scaled = z.object({
    spec: z.object({
      scaleTargetRef: z.object({ name: z.string() }),
      minReplicaCount: z.int(),
      maxReplicaCount: z.int(),
      initialCooldownPeriod: z.int().min(60),
      triggers: z.array(
        z.object({
          type: z.literal('rabbitmq'),
          // One that counted ready messages alone would take pods from jobs that they have in hand.
          metadata: z.strictObject({
            protocol: z.literal('http'),
            mode: z.literal('QueueLength'),
            queueName: z.string(),
            value: z.string(),
          }),
          authenticationRef: z.object({ name: z.string() }),
        }),
      ),
    }),
  })
  const objects = objectsOf(manifests, 'ScaledObject', scaled)
  const said = objects.map(({ name, spec }) => ({
    name,
    of: spec.scaleTargetRef.name,
    pods: [spec.minReplicaCount, spec.maxReplicaCount],
    queues: spec.triggers.map(({ metadata }) => metadata.queueName),
  }))
  expect(said).toEqual([
    { name: 'my-esteira-database-query', of: 'my-esteira-database-query', pods: [0, 20], queues: ['Database.query'] },
    {
      name: 'my-esteira-invoices',
      of: 'my-esteira-invoices',
      pods: [1, 10],
      queues: ['Invoices.write', 'Invoices.send'],
    },
  ])
  const access = z.object({ spec: z.object({ secretTargetRef: z.unknown() }) })
  const [authentication] = objectsOf(manifests, 'TriggerAuthentication', access)
  expect(authentication?.spec.secretTargetRef).toEqual([
    { parameter: 'host', name: 'esteira-rabbitmq-management', key: 'uri' },
  ])
  const named = objects.flatMap(({ spec }) => spec.triggers.map((trigger) => trigger.authenticationRef.name))
  expect(new Set(named)).toEqual(new Set([authentication?.name]))
})

test('a liveness probe leaves a function that keeps the event loop to the worker, which says whose fault it was', async () => {
  const probe = z.object({ periodSeconds: z.int(), failureThreshold: z.int() })
  for (const stallMs of [30_000, 600_000]) {
    const values = { workers: { 'database-query': { stallMs } } }
    const { main } =
      podsOf(await render({ files: [least], values })).find(({ owner }) => owner.endsWith('-query')) ?? expect.fail()
    const { periodSeconds, failureThreshold } = probe.parse(main.livenessProbe)
    expect(periodSeconds * (failureThreshold - 1)).toBeGreaterThan(stallMs / 1_000)
  }
})

test('a worker has the time that its values give it to load, and is not probed for anything else before', async () => {
  const workers = { 'database-query': {}, 'messages-send': { startupSeconds: 600 } }
  const probe = z.object({ periodSeconds: z.int(), failureThreshold: z.int(), initialDelaySeconds: z.int().optional() })
  const pods = podsOf(await render({ files: [least, valuesFile('own-functions')], values: { workers } }))
  const seconds = ['query', 'send'].map((name) => {
    const { main } = pods.find(({ owner }) => owner.endsWith(`-${name}`)) ?? expect.fail()
    expect(main.startupProbe?.httpGet).toEqual(main.livenessProbe?.httpGet)
    // Kubernetes begins with the others when this one has succeeded.
    expect(probe.parse(main.livenessProbe).initialDelaySeconds).toBeUndefined()
    const { periodSeconds, failureThreshold } = probe.parse(main.startupProbe)
    return periodSeconds * failureThreshold
  })
  expect(seconds).toEqual([120, 600])
})
