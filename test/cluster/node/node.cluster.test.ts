import { waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createNamespace, ownsNode, type TestNamespace } from '../index.ts'
import { endings, holds, jobShape, listObjects, podShape, readObject } from '../support/objects.ts'
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

const inPhase = (name: string, phase: string) =>
  waitFor(
    async () => {
      const seen = await readObject(namespace, podShape, 'pods', name)
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
    await waitFor(async () => holds('Complete', await readObject(namespace, jobShape, 'jobs', 'by-hand')), {
      deadlineMs: 90_000,
      describe: () => namespace.kubectl(['describe', 'pods']),
    })
    const pods = await listObjects(namespace, podShape, 'pods', 'batch.kubernetes.io/job-name=by-hand')
    expect(pods.map(endings)).toEqual([
      [
        { name: 'sidecar', exitCode: 0, restarts: 0 },
        { name: 'worker', exitCode: 0, restarts: 0 },
      ],
    ])
  })

  test('a pod reaches the API server by the address of its Service', async () => {
    const ask = container('ask', ['ask', 'https://$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)/version'])
    await make({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'ask' }, spec: podSpec([ask]) })
    await inPhase('ask', 'Succeeded')
    expect(JSON.parse(await namespace.kubectl(['logs', 'ask']))).toMatchObject({ gitVersion: 'v1.34.4' })
  })
})
