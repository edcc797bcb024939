import { z } from 'zod'
import type { TestNamespace } from '../index.ts'

// Objects of Kubernetes, as far as tests look at them.
const metadata = z.object({
  name: z.string(),
  uid: z.string(),
  /** When it was told to end. */
  deletionTimestamp: z.string().optional(),
  /** Who wants it to stay until they have seen its end. */
  finalizers: z.array(z.string()).default([]),
  annotations: z.record(z.string(), z.string()).default({}),
  ownerReferences: z.array(z.object({ name: z.string(), uid: z.string() })).default([]),
})

const condition = z.object({ type: z.string(), status: z.string() })

const container = z.object({
  name: z.string(),
  restartCount: z.number(),
  containerID: z.string().optional(),
  state: z.object({ terminated: z.object({ exitCode: z.number() }).optional(), running: z.object({}).optional() }),
})

export const podShape = z.object({
  metadata,
  status: z.object({
    phase: z.string(),
    conditions: z.array(condition).default([]),
    initContainerStatuses: z.array(container).default([]),
    containerStatuses: z.array(container).default([]),
  }),
})
export type Pod = z.infer<typeof podShape>

export const jobShape = z.object({
  metadata,
  status: z.object({ conditions: z.array(condition).default([]) }),
})
export type Job = z.infer<typeof jobShape>

const annotated = z.object({ annotations: z.record(z.string(), z.string()).default({}) })

export const cronJobShape = z.object({
  metadata,
  spec: z.object({
    schedule: z.string(),
    suspend: z.boolean(),
    jobTemplate: z.object({ spec: z.object({ template: z.object({ metadata: annotated.prefault({}) }) }) }),
  }),
})
export type CronJob = z.infer<typeof cronJobShape>

/** The APIs that kinds of objects are in. */
const apis = {
  pods: '/api/v1',
  jobs: '/apis/batch/v1',
  cronjobs: '/apis/batch/v1',
  scaledobjects: '/apis/keda.sh/v1alpha1',
} as const
type Kind = keyof typeof apis

type Ask = Pick<TestNamespace, 'name' | 'read'>

const pathOf = (namespace: string, kind: Kind): string => `${apis[kind]}/namespaces/${namespace}/${kind}`

/** Reads an object by its kind and name. */
export const readObject = async <T>(namespace: Ask, shape: z.ZodType<T>, kind: Kind, name: string): Promise<T> =>
  shape.parse(await namespace.read(`${pathOf(namespace.name, kind)}/${name}`))

/** Lists objects of a kind, those whose labels fit. */
export const listObjects = async <T>(namespace: Ask, shape: z.ZodType<T>, kind: Kind, selector = ''): Promise<T[]> => {
  const path = `${pathOf(namespace.name, kind)}?labelSelector=${encodeURIComponent(selector)}`
  return z.object({ items: z.array(shape) }).parse(await namespace.read(path)).items
}

/** Whether a condition of an object is true. */
export const holds = (wanted: string, { status }: Pod | Job): boolean =>
  status.conditions.some((one) => one.type === wanted && one.status === 'True')

/** Whether nobody has told a pod to end; one that was may go on for as long as its grace period. */
export const isToStay = (pod: Pod): boolean => pod.metadata.deletionTimestamp === undefined

/** The containers of a pod, sidecars first. */
export const containersOf = ({ status }: Pod): z.infer<typeof container>[] => [
  ...status.initContainerStatuses,
  ...status.containerStatuses,
]

/** How the containers of a pod ended, and how often each was started again. */
export const endings = (pod: Pod): { name: string; exitCode: number | undefined; restarts: number }[] =>
  containersOf(pod).map(({ name, state, restartCount }) => ({
    name,
    exitCode: state.terminated?.exitCode,
    restarts: restartCount,
  }))

/** What is to be told of a namespace's pods when something does not come: their state, events and last lines. */
export const describePods = async ({ kubectl }: Pick<TestNamespace, 'kubectl'>): Promise<string> => {
  const pods = (await kubectl(['get', 'pods', '--output', 'name'])).split('\n').filter((name) => name !== '')
  const logs = await Promise.all(
    pods.map((pod) =>
      kubectl(['logs', pod, '--all-containers', '--prefix', '--tail', '30']).catch((error: unknown) => String(error)),
    ),
  )
  const events = ['get', 'events', '--field-selector', 'type!=Normal']
  return [await kubectl(['get', 'pods', '--output', 'wide']), await kubectl(events), ...logs].join('\n')
}
