import * as z from 'zod'

/** A client of the control plane, as far as a house needs one. */
export type Api = ReturnType<typeof createApi>

const workflow = z.object({
  id: z.string(),
  name: z.string(),
  version: z.int(),
  steps: z.array(z.object({ id: z.string(), name: z.string(), functionName: z.string() })),
})
const run = z.object({
  id: z.string(),
  trigger: z.string(),
  idempotencyKey: z.string(),
  status: z.string(),
  createdAt: z.string(),
})
const runWithSteps = run.extend({
  steps: z.array(z.object({ staged: z.int(), belt: z.int(), succeeded: z.int(), failed: z.int(), cancelled: z.int() })),
})
const job = z.object({ error: z.object({ code: z.string(), message: z.string() }).nullable() })
const problem = z.object({
  title: z.string(),
  detail: z.string().optional(),
  errors: z.array(z.object({ pointer: z.string(), message: z.string() })).optional(),
})

export type ApiWorkflow = z.infer<typeof workflow>
export type ApiRun = z.infer<typeof runWithSteps>

/** Calls the control plane at `url`; an answer that is no success is an error with the problem's own words. */
export const createApi = (url: string, token: string) => {
  const call = async <T>(answer: z.ZodType<T>, method: string, path: string, send: Sent = {}): Promise<T> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(send.body === undefined ? {} : { body: JSON.stringify(send.body) }),
      signal: AbortSignal.timeout(patienceMs),
    })
    const body: unknown = await response.json()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${wordsOf(body)}`)
    return answer.parse(body)
  }
  return {
    /** The workflow of a name, if there is one. */
    findWorkflow: async (name: string): Promise<ApiWorkflow | undefined> => {
      const { items } = await call(z.object({ items: z.array(workflow) }), 'GET', '/v1/workflows?limit=500')
      return items.find((one) => one.name === name)
    },
    createWorkflow: (document: object): Promise<ApiWorkflow> =>
      call(workflow, 'POST', '/v1/workflows', { body: document }),
    runs: async (workflowId: string, limit: number) =>
      (await call(z.object({ items: z.array(run) }), 'GET', `/v1/workflows/${workflowId}/runs?limit=${limit}`)).items,
    run: (id: string) => call(runWithSteps, 'GET', `/v1/runs/${id}`),
    jobs: async (query: string) => (await call(z.object({ items: z.array(job) }), 'GET', `/v1/jobs?${query}`)).items,
  }
}

/** A control plane that is frozen must not freeze who asks it. */
const patienceMs = 10_000

type Sent = { body?: object }

const wordsOf = (body: unknown): string => {
  const parsed = problem.safeParse(body)
  if (!parsed.success) return JSON.stringify(body)
  const { title, detail, errors = [] } = parsed.data
  return [title, detail, ...errors.map(({ pointer, message }) => `${pointer}: ${message}`)].filter(Boolean).join('; ')
}
