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

/** Where objects of a kind are within a namespace. */
const kinds = {
  ConfigMap: ['/api/v1', 'configmaps'],
  CronJob: ['/apis/batch/v1', 'cronjobs'],
  ResourceQuota: ['/api/v1', 'resourcequotas'],
} as const
type Kind = keyof typeof kinds

const pathOf = (kind: Kind, name?: string): string => {
  const [api, resources] = kinds[kind]
  return `${api}/namespaces/${namespace.name}/${resources}${name === undefined ? '' : `/${name}`}`
}

/** What an administrator does: by HTTP, which is a fiftieth of what a kubectl costs, but for patches. */
export const admin = {
  make: async (body: { kind: Kind } & Record<string, unknown>): Promise<ClusterObject> =>
    object.parse(await namespace.ask('POST', pathOf(body.kind), body)),
  get: async (kind: Kind, name: string): Promise<ClusterObject> =>
    object.parse(await namespace.read(pathOf(kind, name))),
  cronJobs: async (): Promise<ClusterObject[]> =>
    z.object({ items: z.array(object) }).parse(await namespace.read(pathOf('CronJob'))).items,
  patch: (kind: Kind, name: string, change: object, ...words: string[]) =>
    namespace.kubectl(['patch', kind, name, '--type', 'merge', '--patch', JSON.stringify(change), ...words]),
  remove: async (kind: Kind, name: string): Promise<void> => {
    await namespace.ask('DELETE', pathOf(kind, name))
  },
}

/** Gives each test a namespace with an anchor, and the cluster under an account that may do no more than it has to. */
export const useRelease = (): void => {
  beforeEach(async () => {
    namespace = await createNamespace()
    await admin.make({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: anchorName } })
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
  kind: 'CronJob' as const,
  metadata: { name, ...metadata },
  spec: {
    schedule: '0 0 29 2 *',
    jobTemplate: {
      spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'one', image: 'none' }] } } },
    },
  },
})
