import { createNamespace, tamperWith, type TamperingProxy, type TestNamespace } from '@esteira/test/cluster'
import { afterEach, beforeEach } from 'vitest'
import { z } from 'zod'
import { type Cluster, openCluster } from '../src/reconciler/cluster/open-cluster.ts'
import { granted } from './granted.ts'

export const anchorName = 'esteira-anchor'

export const rules = granted(anchorName)

/** The namespace of a test, a way there that it can make trouble on, and the cluster as the control plane has it. */
export let namespace: TestNamespace
export let way: TamperingProxy
export let cluster: Cluster

const object = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    generation: z.int().optional(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
  spec: z.looseObject({}).optional(),
})
export type ClusterObject = z.output<typeof object>

/** What an administrator does. */
export const admin = {
  make: async (body: object): Promise<ClusterObject> =>
    object.parse(JSON.parse(await namespace.kubectl(['create', '--output', 'json', '--filename', '-'], body))),
  get: async (kind: string, name: string): Promise<ClusterObject> =>
    object.parse(JSON.parse(await namespace.kubectl(['get', kind, name, '--output', 'json']))),
  all: async (kind = 'cronjobs'): Promise<ClusterObject[]> =>
    z.object({ items: z.array(object) }).parse(JSON.parse(await namespace.kubectl(['get', kind, '--output', 'json'])))
      .items,
  patch: (kind: string, name: string, change: object, ...words: string[]) =>
    namespace.kubectl(['patch', kind, name, '--type', 'merge', '--patch', JSON.stringify(change), ...words]),
  remove: (kind: string, name: string) => namespace.kubectl(['delete', kind, name, '--wait=false']),
}

/** Gives each test a namespace with an anchor, and the cluster under an account that may do no more than it has to. */
export const useRelease = (): void => {
  beforeEach(async () => {
    namespace = await createNamespace()
    const anchor = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: anchorName } }
    await namespace.ask('POST', `/api/v1/namespaces/${namespace.name}/configmaps`, anchor)
    way = await tamperWith(await namespace.serviceAccount('control-plane', rules))
    cluster = await openCluster({ kubeconfig: way.kubeconfig, namespace: null })
  })
  afterEach(async () => {
    await cluster.close()
    await way.stop()
    await namespace.drop()
  })
}

/** A CronJob of somebody else. */
export const foreignCronJob = (name: string, metadata: object = {}) => ({
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name, ...metadata },
  spec: {
    schedule: '*/5 * * * *',
    jobTemplate: {
      spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'one', image: 'none' }] } } },
    },
  },
})
