import { z } from 'zod'
import { waitFor } from './wait-for.ts'

const step = z.object({ id: z.string(), name: z.string(), functionName: z.string(), nextStep: z.string().nullable() })
const workflow = z.object({
  id: z.string(),
  name: z.string(),
  version: z.int(),
  enabled: z.boolean(),
  steps: z.array(step),
})
const run = z.object({
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
const runWithSteps = run.extend({ steps: z.array(counters) })
const job = z.object({
  id: z.string(),
  runId: z.string(),
  stepId: z.string(),
  status: z.string(),
  payload: z.unknown(),
  output: z.unknown(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
})

export type WorkflowOfTest = z.infer<typeof workflow>
export type RunOfTest = z.infer<typeof runWithSteps>
export type JobOfTest = z.infer<typeof job>

/** The API as a client of it sees it. */
export type HouseApi = ReturnType<typeof createHouseApi>

export const createHouseApi = (url: string, token: string) => {
  const request = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  const call = async <T>(shape: z.ZodType<T>, ...sent: Parameters<typeof request>): Promise<T> => {
    const response = await request(...sent)
    const text = await response.text()
    if (!response.ok) throw new Error(`${sent[0]} ${sent[1]}: ${response.status} ${text}`)
    return shape.parse(JSON.parse(text))
  }
  const api = {
    /** As it is, whatever the answer. */
    request,
    createWorkflow: (document: object) => call(workflow, 'POST', '/v1/workflows', document),
    changeWorkflow: ({ id, version }: WorkflowOfTest, document: object) =>
      call(workflow, 'PUT', `/v1/workflows/${id}`, document, { 'if-match': `"${version}"` }),
    deleteWorkflow: async ({ id, version }: WorkflowOfTest): Promise<void> => {
      const response = await request('DELETE', `/v1/workflows/${id}`, undefined, { 'if-match': `"${version}"` })
      if (!response.ok) throw new Error(`DELETE: ${response.status} ${await response.text()}`)
    },
    startRun: ({ id }: Pick<WorkflowOfTest, 'id'>, body: object = {}) =>
      call(run, 'POST', `/v1/workflows/${id}/runs`, body),
    runs: async ({ id }: WorkflowOfTest) =>
      (await call(z.object({ items: z.array(run) }), 'GET', `/v1/workflows/${id}/runs?limit=100`)).items,
    run: (id: string) => call(runWithSteps, 'GET', `/v1/runs/${id}`),
    /** The jobs of a run at one step of its workflow. */
    jobs: async (of: WorkflowOfTest, runId: string, stepName: string) => {
      const stepId = of.steps.find(({ name }) => name === stepName)?.id
      const path = `/v1/jobs?runId=${runId}&stepId=${stepId}&limit=500`
      return (await call(z.object({ items: z.array(job) }), 'GET', path)).items
    },
    /** The run when it is over. */
    runOver: (id: string, deadlineMs = 60_000): Promise<RunOfTest> =>
      waitFor(
        async () => {
          const seen = await api.run(id)
          return seen.status === 'running' ? undefined : seen
        },
        { deadlineMs, describe: `run ${id} to be over` },
      ),
  }
  return api
}
