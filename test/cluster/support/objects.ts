import { z } from 'zod'
import type { TestNamespace } from '../index.ts'

// Objects of Kubernetes, as far as tests look at them.
const metadata = z.object({ name: z.string() })

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
type Pod = z.infer<typeof podShape>

export const jobShape = z.object({
  metadata,
  status: z.object({ conditions: z.array(condition).default([]) }),
})
type Job = z.infer<typeof jobShape>

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

/** How the containers of a pod ended, sidecars first, and how often each was started again. */
export const endings = (pod: Pod): { name: string; exitCode: number | undefined; restarts: number }[] =>
  [...pod.status.initContainerStatuses, ...pod.status.containerStatuses].map(({ name, state, restartCount }) => ({
    name,
    exitCode: state.terminated?.exitCode,
    restarts: restartCount,
  }))
