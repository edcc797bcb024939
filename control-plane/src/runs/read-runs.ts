import { WorkflowRun, WorkflowRunStep, WorkflowStep } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { ControlPlaneError } from '../errors.ts'
import type { PageRequest } from '../http/pages.ts'
import { type RunWithSteps, runDocumentOf } from './document.ts'

/** Reads one more run of a workflow than a page holds, the newest first. */
export const listRuns = (em: EntityManager, workflowId: string, page: PageRequest): Promise<WorkflowRun[]> =>
  em.find(
    WorkflowRun,
    { workflowId, ...(page.after === undefined ? {} : { id: { $lt: page.after } }) },
    { orderBy: { id: 'desc' }, limit: page.limit + 1 },
  )

/**
 * Reads a run with the counters of its steps, in the order of the version that it began with.
 *
 * @throws ControlPlaneError `run_unknown`.
 */
export const readRun = async (em: EntityManager, id: string): Promise<RunWithSteps> => {
  const run = await em.findOne(WorkflowRun, { id })
  if (run === null) throw new ControlPlaneError('run_unknown', `There is no run ${id}.`)
  const { workflowId, version } = run
  const steps = await em.find(WorkflowStep, { workflowId, version }, { orderBy: { position: 'asc' } })
  const counters = new Map((await em.find(WorkflowRunStep, { runId: id })).map((row) => [row.stepId, row]))
  return {
    ...runDocumentOf(run),
    steps: steps.map(({ id: stepId, name, functionName }) => {
      const counted = counters.get(stepId)
      return {
        stepId,
        name,
        functionName,
        staged: Number(counted?.staged ?? 0),
        belt: Number(counted?.belt ?? 0),
        succeeded: Number(counted?.succeeded ?? 0),
        failed: Number(counted?.failed ?? 0),
        cancelled: Number(counted?.cancelled ?? 0),
      }
    }),
  }
}
