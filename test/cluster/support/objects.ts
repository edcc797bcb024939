import { z } from 'zod'
import type { TestNamespace } from '../index.ts'

// Objects of Kubernetes, as far as tests look at them.
const metadata = z.object({
  name: z.string(),
  uid: z.string(),
  /** When it was told to end. */
  deletionTimestamp: z.string().optional(),
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

type Ask = Pick<TestNamespace, 'kubectl'>

/** Reads an object by its kind and name. */
export const readObject = async <T>({ kubectl }: Ask, shape: z.ZodType<T>, kind: string, name: string): Promise<T> =>
  shape.parse(JSON.parse(await kubectl(['get', kind, name, '--output', 'json'])))

/** Lists objects of a kind, those whose labels fit. */
export const listObjects = async <T>({ kubectl }: Ask, shape: z.ZodType<T>, kind: string, selector = '') => {
  const words = ['get', kind, '--selector', selector, '--output', 'json']
  return z.object({ items: z.array(shape) }).parse(JSON.parse(await kubectl(words))).items
}

/** Whether a condition of an object is true. */
export const holds = (wanted: string, { status }: Pod | Job): boolean =>
  status.conditions.some((one) => one.type === wanted && one.status === 'True')

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
export const describePods = async ({ kubectl }: Ask): Promise<string> => {
  const pods = (await kubectl(['get', 'pods', '--output', 'name'])).split('\n').filter((name) => name !== '')
  const logs = await Promise.all(
    pods.map((pod) =>
      kubectl(['logs', pod, '--all-containers', '--prefix', '--tail', '30']).catch((error: unknown) => String(error)),
    ),
  )
  const events = ['get', 'events', '--field-selector', 'type!=Normal']
  return [await kubectl(['get', 'pods', '--output', 'wide']), await kubectl(events), ...logs].join('\n')
}
