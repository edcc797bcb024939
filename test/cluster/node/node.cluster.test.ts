import { waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createNamespace, killContainer, killKubelet, ownsNode, type TestNamespace } from '../index.ts'
import { podImage } from './pod-image.ts'

let namespace: TestNamespace
beforeAll(async () => {
  namespace = await createNamespace()
  // It is made a moment after the namespace, and pods are refused until then.
  await namespace.kubectl(['wait', '--for', 'create', 'serviceaccount/default', '--timeout', '60s'])
})
afterAll(() => namespace.drop())

const container = (name: string, args: readonly string[], more: object = {}) => ({
  name,
  image: podImage,
  imagePullPolicy: 'Never',
  args,
  ...more,
})

const podSpec = (containers: object[], more: object = {}) => ({
  restartPolicy: 'Never',
  terminationGracePeriodSeconds: 10,
  containers,
  ...more,
})

const make = (object: object) => namespace.kubectl(['create', '--filename', '-'], object)

const read = async <T>(shape: z.ZodType<T>, ...words: string[]): Promise<T> =>
  shape.parse(JSON.parse(await namespace.kubectl(['get', ...words, '--output', 'json'])))

const state = z.object({
  name: z.string(),
  restartCount: z.number(),
  containerID: z.string().optional(),
  state: z.object({ terminated: z.object({ exitCode: z.number() }).optional(), running: z.object({}).optional() }),
})
const pod = z.object({
  metadata: z.object({ name: z.string() }),
  status: z.object({
    phase: z.string(),
    podIP: z.string().optional(),
    initContainerStatuses: z.array(state).default([]),
    containerStatuses: z.array(state).default([]),
  }),
})
const pods = z.object({ items: z.array(pod) })
const job = z.object({
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]) }),
})

const inPhase = (name: string, phase: string) =>
  waitFor(
    async () => {
      const seen = await read(pod, 'pod', name)
      return seen.status.phase === phase && seen
    },
    { deadlineMs: 90_000, describe: () => namespace.kubectl(['describe', 'pod', name]) },
  )

describe.runIf(ownsNode())('the node', () => {
  test('a tick of a CronJob ends with 0 and its native sidecar after it, and the Job is complete', async () => {
    const sidecar = container('sidecar', ['hold'], { restartPolicy: 'Always' })
    const template = { spec: podSpec([container('worker', ['work'])], { initContainers: [sidecar] }) }
    await make({
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'tick' },
      spec: { schedule: '0 0 1 1 *', jobTemplate: { spec: { template } } },
    })
    await namespace.kubectl(['create', 'job', 'by-hand', '--from', 'cronjob/tick'])
    await waitFor(
      async () =>
        (await read(job, 'job', 'by-hand')).status.conditions.some(
          ({ type, status }) => type === 'Complete' && status === 'True',
        ),
      { deadlineMs: 90_000, describe: () => namespace.kubectl(['describe', 'pods']) },
    )
    const [{ status } = { status: undefined }] = (
      await read(pods, 'pods', '--selector', 'batch.kubernetes.io/job-name=by-hand')
    ).items
    const exits = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].map((seen) => [
      seen.name,
      seen.state.terminated?.exitCode,
      seen.restartCount,
    ])
    expect(exits).toEqual([
      ['sidecar', 0, 0],
      ['worker', 0, 0],
    ])
  })

  test('a pod reaches the API server by the address of its Service', async () => {
    const ask = container('ask', ['ask', 'https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)/version'])
    await make({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'ask' }, spec: podSpec([ask]) })
    await inPhase('ask', 'Succeeded')
    expect(JSON.parse(await namespace.kubectl(['logs', 'ask']))).toMatchObject({ gitVersion: 'v1.34.4' })
  })

  test('a container that is killed is started again, also by a kubelet that was killed itself', async () => {
    const hold = container('hold', ['hold'])
    await make({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'killed' },
      spec: podSpec([hold], { restartPolicy: 'Always' }),
    })
    const [before] = (await inPhase('killed', 'Running')).status.containerStatuses
    killKubelet()
    killContainer(before?.containerID ?? '')
    await waitFor(
      async () => {
        const [now] = (await read(pod, 'pod', 'killed')).status.containerStatuses
        return now?.state.running !== undefined && now.restartCount === 1 && now.containerID !== before?.containerID
      },
      { deadlineMs: 90_000, describe: () => namespace.kubectl(['describe', 'pod', 'killed']) },
    )
  })
})
