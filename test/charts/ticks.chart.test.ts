import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { smallTick } from '../../workers/cron-job/build/bundle.ts'
import { cronJobOf } from './support/cron-job-of.ts'
import { type Container, type Manifest, objectsOf, type Pod, podsOf, variableOf } from './support/manifests.ts'
import { least, matrix, render, valuesFile } from './support/render.ts'

const podOf = (manifests: readonly Manifest[], owner: string): Pod => {
  const pod = podsOf(manifests).find((one) => one.owner === owner)
  if (pod === undefined) throw new Error(`there is no ${owner}`)
  return pod
}

const withTicks = matrix.filter(({ set = [] }) => !set.includes('cron.enabled=false'))

const configMap = z.object({ data: z.record(z.string(), z.string()).default({}) })

test.each(withTicks)(
  'the control plane is told of its anchor and the template of its pods, both of them there: $title',
  async (release) => {
    const manifests = await render(release)
    const { owner } = podsOf(manifests).find((pod) => pod.owner.endsWith('-control-plane')) ?? { owner: '' }
    const { main, template } = podOf(manifests, owner)
    const maps = objectsOf(manifests, 'ConfigMap', configMap)
    const anchor = variableOf(main, 'ESTEIRA_CRON_ANCHOR')?.value
    expect(maps.find(({ name }) => name === anchor)?.data).toEqual({})
    expect(variableOf(main, 'ESTEIRA_CRON_NAMESPACE')?.valueFrom?.fieldRef?.fieldPath).toBe('metadata.namespace')
    const file = variableOf(main, 'ESTEIRA_CRON_POD_TEMPLATE')?.value ?? ''
    const mount = main.volumeMounts.find(({ mountPath }) => file.startsWith(`${mountPath}/`))
    const volume = template.spec.volumes.find(({ name }) => name === mount?.name)
    const source = z.object({ configMap: z.object({ name: z.string() }) }).parse(volume).configMap.name
    expect(Object.keys(maps.find(({ name }) => name === source)?.data ?? {})).toEqual([file.split('/').at(-1)])
  },
)

test('a pod of a tick knows its key by the name of its Job, and runs once to its end', async () => {
  const { main, template } = podOf(await render({ files: [least] }), 'ConfigMap my-esteira-cron-pod')
  expect(main.name).toBe('cron-job')
  expect(main.args).toEqual([...smallTick, '/app/workers/cron-job/dist/main.js'])
  // A variable can name those before it alone.
  expect(main.env.slice(0, 2)).toEqual([
    { name: 'JOB_NAME', valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/job-name']" } } },
    { name: 'ESTEIRA_TICK_KEY', value: 'job/$(JOB_NAME)' },
  ])
  expect(template.spec['restartPolicy']).toBe('Never')
})

test.each(withTicks)(
  'the control plane takes the template, and both containers have the lane of the CronJob: $title',
  async (release) => {
    const cronJob = cronJobOf(await render(release))
    const [pod] = podsOf(cronJob === null ? [] : [cronJob])
    const lane = { name: 'ESTEIRA_LANE', value: cronJob?.metadata.name }
    expect(variableOf(pod?.main ?? expect.fail(), 'ESTEIRA_LANE')).toEqual(lane)
    expect(variableOf(pod?.relay ?? expect.fail(), 'ESTEIRA_LANE')).toEqual(lane)
  },
)

test('the relay of a tick is that of a worker, but for the lane, the lanes of others and being ready', async () => {
  const manifests = await render({ files: [valuesFile('everything')] })
  const { relay: ofTick } = podOf(manifests, 'ConfigMap my-esteira-cron-pod')
  const { relay: ofWorker } = podOf(manifests, 'Deployment my-esteira-database-query')
  const without = ({ readinessProbe: _readiness, env, ...rest }: Container) => ({
    ...rest,
    env: env.filter(({ name }) => name !== 'ESTEIRA_LANE' && name !== 'ESTEIRA_RELAY_ADOPT'),
  })
  expect(without(ofTick)).toEqual(without(ofWorker))
  expect(variableOf(ofTick, 'ESTEIRA_RELAY_ADOPT')?.value).toBe('no')
  expect(variableOf(ofWorker, 'ESTEIRA_RELAY_ADOPT')?.value).toBe('yes')
})

test('the relay of the control plane carries what others left, also where those of workers do not', async () => {
  const manifests = await render({
    files: [least],
    set: ['outbox-relay.relay.adopt=no', 'workers.database-query.replicas=1'],
  })
  const adoptOf = (owner: string) => variableOf(podOf(manifests, owner).relay, 'ESTEIRA_RELAY_ADOPT')?.value
  expect(adoptOf('Deployment my-esteira-control-plane')).toBe('yes')
  expect(adoptOf('Deployment my-esteira-database-query')).toBe('no')
})

test('pods of ticks, of workers and of the control plane have in common what the values say of all pods', async () => {
  const pods = podsOf(await render({ files: [valuesFile('everything')] }))
  const names = ['imagePullSecrets', 'nodeSelector', 'tolerations', 'affinity', 'securityContext'].concat([
    'hostAliases',
    'dnsPolicy',
    'dnsConfig',
    'runtimeClassName',
  ])
  const common = ({ template: { spec } }: Pod) => names.map((name) => spec[name])
  expect(new Set(pods.map((pod) => JSON.stringify(common(pod)))).size).toBe(1)
  expect(common(pods[0] ?? expect.fail())).not.toContain(undefined)
  const classes = pods.map(({ owner, template }) => [owner, template.spec['priorityClassName']])
  expect(Object.fromEntries(classes)).toEqual({
    'ConfigMap my-esteira-cron-pod': 'important',
    'Deployment my-esteira-control-plane': 'most-important',
    'Deployment my-esteira-database-query': 'important',
    'Deployment my-esteira-messages-send': 'important',
    'Deployment my-esteira-rd-station-get-leads': 'important',
  })
})

const digestOf = (manifests: readonly Manifest[]) => {
  const { main } = podsOf(manifests).find(({ owner }) => owner.endsWith('-control-plane')) ?? expect.fail()
  return variableOf(main, 'ESTEIRA_CRON_POD_TEMPLATE_SHA256')?.value
}

test.each(withTicks)('the template is the one whose digest the control plane is told: $title', async (release) => {
  const manifests = await render(release)
  const [file] = objectsOf(manifests, 'ConfigMap', configMap).flatMap(({ data }) => data['pod.json'] ?? [])
  expect(digestOf(manifests)).toBe(
    createHash('sha256')
      .update(file ?? expect.fail())
      .digest('hex'),
  )
})

test('a control plane starts anew with the template that it takes, and only then', async () => {
  const digest = async (...set: string[]) => digestOf(await render({ files: [least], set }))
  expect(await digest()).toBe(await digest('networkPolicies.enabled=false', 'controlPlane.replicas=3'))
  expect(await digest()).not.toBe(await digest('cron.resources.limits.memory=1Gi'))
  expect(await digest()).not.toBe(await digest('logLevel=debug'))
})

test('a name that is no plain text to YAML is in the template of ticks as it was given', async () => {
  const values = { cron: { serviceAccount: { name: 'a: b' }, pods: { priorityClassName: '@x' } } }
  const { template } = podOf(await render({ files: [least], values }), 'ConfigMap my-esteira-cron-pod')
  expect(template.spec).toMatchObject({ serviceAccountName: 'a: b', priorityClassName: '@x' })
})

test('the anchor is the same after any upgrade: a new one would have no children', async () => {
  const anchorOf = (manifests: readonly Manifest[]) =>
    manifests.find(({ metadata }) => metadata.name === 'my-esteira-anchor')
  const [one, other] = await Promise.all([render({ files: [least] }), render({ files: [valuesFile('everything')] })])
  expect(anchorOf(one)).toEqual(anchorOf(other))
  // A version in it would change with each.
  expect(JSON.stringify(anchorOf(one))).not.toMatch(/\d\.\d/)
})
