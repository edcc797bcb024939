import type { EntityManager } from '@mikro-orm/postgresql'
import type { StepOfRun } from '../job/held-job.ts'
import { WorkflowStep } from '../model/workflow-step.ts'

/** Every step of one version of a workflow, in the order of the document. */
export const loadSteps = async (em: EntityManager, workflowId: string, version: number): Promise<StepOfRun[]> => {
  const rows = await em.find(
    WorkflowStep,
    { workflowId, version },
    { orderBy: { position: 'asc' }, disableIdentityMap: true },
  )
  const functionNames = new Map(rows.map((row) => [row.id, row.functionName]))
  return rows.map((row) => stepOfRun(row, functionNames))
}

const stepOfRun = (row: WorkflowStep, functionNames: ReadonlyMap<string, string>): StepOfRun => {
  const nextId = row.nextStepId ?? null
  const nextFunction = nextId === null ? undefined : functionNames.get(nextId)
  return {
    id: row.id,
    version: row.version,
    workflowId: row.workflowId,
    name: row.name,
    functionName: row.functionName,
    config: row.config,
    outputType: row.outputType ?? null,
    retry: row.retry,
    timeoutMs: row.timeoutMs ?? null,
    next: nextId === null || nextFunction === undefined ? null : { id: nextId, functionName: nextFunction },
  }
}
