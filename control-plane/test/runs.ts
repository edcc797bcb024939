import * as z from 'zod'
import { runDocument, runWithSteps } from '../src/runs/document.ts'
import { workflowDocument } from '../src/workflows/document.ts'
import type { Answer } from './open-api.ts'
import { api } from './use-api.ts'

/** Saves a workflow; `runs` is where its runs are. */
export const create = async (steps: unknown[], change: Record<string, unknown> = {}) => {
  const { body } = await api.send('POST', '/v1/workflows', { name: 'leads', steps, ...change })
  const { id } = workflowDocument.parse(body)
  return { id, runs: `/v1/workflows/${id}/runs` }
}

export const runOf = ({ body }: Answer) => runDocument.parse(body)

export const readRun = async (id: string) => runWithSteps.parse((await api.send('GET', `/v1/runs/${id}`)).body)

const jobs = z.object({ items: z.array(z.object({ id: z.string(), payload: z.unknown(), status: z.string() })) })

export const jobsOf = async (runId: string, query = '') =>
  jobs.parse((await api.send('GET', `/v1/jobs?runId=${runId}${query}`)).body).items

/** Has the only job of a run failed, as a worker and its hint leave it. */
export const failAsWorkersDo = async (id: string): Promise<void> => {
  await api.query(`update workflow_job set status = 'failed', attempt = 3, finished_at = now() where run_id = $1`, [id])
  await api.query('update workflow_run_step set belt = 0, failed = 1 where run_id = $1 and belt = 1', [id])
  await api.query(`update workflow_run set status = 'failed', finished_at = now() where id = $1`, [id])
}
