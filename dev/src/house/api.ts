import { reasonOf } from '@esteira/service'
import * as z from 'zod'

const step = z.object({ id: z.string(), name: z.string(), functionName: z.string(), nextStep: z.string().nullable() })

/** The documents of the API, as far as somebody here reads them. */
export const workflowShape = z.object({ id: z.string(), name: z.string(), version: z.int(), steps: z.array(step) })
export const runShape = z.object({
  id: z.string(),
  trigger: z.string(),
  idempotencyKey: z.string(),
  status: z.string(),
  createdAt: z.string(),
})
const counters = z.object({
  name: z.string(),
  staged: z.int(),
  belt: z.int(),
  succeeded: z.int(),
  failed: z.int(),
  cancelled: z.int(),
})
const runWithSteps = runShape.extend({ steps: z.array(counters) })
const job = z.object({
  id: z.string(),
  status: z.string(),
  payload: z.unknown(),
  output: z.unknown(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})
const problem = z.object({
  title: z.string(),
  detail: z.string().optional(),
  errors: z.array(z.object({ pointer: z.string(), message: z.string() })).optional(),
})

export type ApiWorkflow = z.infer<typeof workflowShape>
export type ApiRun = z.infer<typeof runWithSteps>

/** A client of the control plane. */
export type Api = ReturnType<typeof createApi>

/** Calls the control plane at `url`; an answer that is no success is an error with the problem's own words. */
export const createApi = (url: string, token: string) => {
  /** The answer as it is, whatever it is. */
  const request = async (method: string, path: string, { body, headers }: Sent = {}): Promise<Response> => {
    try {
      return await fetch(`${url}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(patienceMs),
      })
    } catch (cause) {
      // All that fetch itself says is that it failed.
      const reason = reasonOf(cause instanceof TypeError ? (cause.cause ?? cause) : cause)
      throw new Error(`the control plane at ${url} does not answer: ${reason}`, { cause })
    }
  }
  const call = async <T>(answer: z.ZodType<T>, ...[method, path, sent]: Parameters<typeof request>): Promise<T> => {
    const response = await request(method, path, sent)
    const body: unknown = response.status === 204 ? null : await response.json()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${wordsOf(body)}`)
    return answer.parse(body)
  }
  const list = async <T>(item: z.ZodType<T>, path: string): Promise<T[]> =>
    (await call(z.object({ items: z.array(item) }), 'GET', path)).items
  return {
    request,
    call,
    /** The workflow of a name, if there is one. */
    findWorkflow: async (name: string): Promise<ApiWorkflow | undefined> =>
      (await list(workflowShape, '/v1/workflows?limit=500')).find((one) => one.name === name),
    createWorkflow: (document: object) => call(workflowShape, 'POST', '/v1/workflows', { body: document }),
    runs: (workflowId: string, limit: number) => list(runShape, `/v1/workflows/${workflowId}/runs?limit=${limit}`),
    run: (id: string) => call(runWithSteps, 'GET', `/v1/runs/${id}`),
    /** The newest jobs that a query picks: `runId=...&status=failed&limit=1`. */
    jobs: (query: string) => list(job, `/v1/jobs?${query}`),
  }
}

/** A control plane that is frozen must not freeze who asks it. */
const patienceMs = 10_000

type Sent = { body?: object; headers?: Record<string, string> }

const wordsOf = (body: unknown): string => {
  const parsed = problem.safeParse(body)
  if (!parsed.success) return JSON.stringify(body)
  const { title, detail, errors = [] } = parsed.data
  return [title, detail, ...errors.map(({ pointer, message }) => `${pointer}: ${message}`)].filter(Boolean).join('; ')
}
