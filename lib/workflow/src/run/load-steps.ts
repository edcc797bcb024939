import type { EntityManager } from '@mikro-orm/postgresql'
import { cronJobFunctionName } from '../cron/cron-job.ts'
import type { StepOfRun } from '../job/held-job.ts'
import { WorkflowStep } from '../model/workflow-step.ts'

/**
 * Every step of one version of a workflow, in the order of the document. That of a CronJob comes without its config,
 * which may hold a hundred thousand items: only what fires its ticks needs it, and each worker keeps what it has read.
 */
export const loadSteps = async (em: EntityManager, workflowId: string, version: number): Promise<StepOfRun[]> => {
  const where = { workflowId, version }
  const ticking = { functionName: cronJobFunctionName }
  const [rows, others] = [
    await em.find(WorkflowStep, { ...where, $not: ticking }, { disableIdentityMap: true }),
    await em.find(WorkflowStep, { ...where, ...ticking }, { disableIdentityMap: true, exclude: ['config'] }),
  ]
  const configs = new Map(rows.map(({ id, config }) => [id, config]))
  const steps = [...rows, ...others].toSorted((a, b) => a.position - b.position)
  const functionNames = new Map(steps.map((row) => [row.id, row.functionName]))
  return steps.map((row) => stepOfRun(row, configs.get(row.id) ?? {}, functionNames))
}

type StepRow = Pick<WorkflowStep, Exclude<keyof StepOfRun, 'next' | 'config'>> & Pick<WorkflowStep, 'nextStepId'>

const stepOfRun = (
  row: StepRow,
  config: StepOfRun['config'],
  functionNames: ReadonlyMap<string, string>,
): StepOfRun => {
  const nextId = row.nextStepId ?? null
  const nextFunction = nextId === null ? undefined : functionNames.get(nextId)
  return {
    id: row.id,
    version: row.version,
    workflowId: row.workflowId,
    name: row.name,
    functionName: row.functionName,
    config,
    outputType: row.outputType ?? null,
    retry: row.retry,
    timeoutMs: row.timeoutMs ?? null,
    next: nextId === null || nextFunction === undefined ? null : { id: nextId, functionName: nextFunction },
  }
}
