import { type ApiRun, type ApiWorkflow, createApi, runShape, workflowShape } from '@esteira/dev/house'
import { z } from 'zod'
import { waitFor, type WaitOptions } from './wait-for.ts'

/** The API as a client of it sees it, with what tests do beside what a house does. */
export type HouseApi = ReturnType<typeof createHouseApi>

/** `pauseMs` is between two looks of whoever waits for a run. */
export const createHouseApi = (url: string, token: string, { pauseMs }: Pick<WaitOptions, 'pauseMs'> = {}) => {
  const api = createApi(url, token)
  const ifMatch = ({ version }: ApiWorkflow) => ({ 'if-match': `"${version}"` })
  return {
    ...api,
    changeWorkflow: (workflow: ApiWorkflow, document: object) =>
      api.call(workflowShape, 'PUT', `/v1/workflows/${workflow.id}`, { body: document, headers: ifMatch(workflow) }),
    deleteWorkflow: (workflow: ApiWorkflow) =>
      api.call(z.null(), 'DELETE', `/v1/workflows/${workflow.id}`, { headers: ifMatch(workflow) }),
    startRun: ({ id }: Pick<ApiWorkflow, 'id'>, body: object = {}) =>
      api.call(runShape, 'POST', `/v1/workflows/${id}/runs`, { body }),
    runs: ({ id }: ApiWorkflow) => api.runs(id, 100),
    /** The jobs of a run at one step of its workflow. */
    jobs: ({ steps }: ApiWorkflow, runId: string, stepName: string) => {
      const stepId = steps.find(({ name }) => name === stepName)?.id
      return api.jobs(`runId=${runId}&stepId=${stepId}&limit=500`)
    },
    /** The run when it is over. */
    runOver: (id: string, deadlineMs = 60_000): Promise<ApiRun> =>
      waitFor(
        async () => {
          const seen = await api.run(id)
          return seen.status === 'running' ? undefined : seen
        },
        { deadlineMs, describe: `run ${id} to be over`, ...(pauseMs !== undefined && { pauseMs }) },
      ),
  }
}
