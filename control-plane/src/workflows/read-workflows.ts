import { Workflow, WorkflowStep } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { ControlPlaneError } from '../errors.ts'
import type { PageRequest } from '../http/pages.ts'
import type { StepDocument, WorkflowDocument } from './document.ts'

/**
 * Reads a workflow as it is now.
 *
 * @throws ControlPlaneError `workflow_unknown` when there is none or it was deleted.
 */
export const readWorkflow = async (em: EntityManager, id: string): Promise<WorkflowDocument> => {
  const workflow = await em.findOne(Workflow, { id, deletedAt: null })
  if (workflow === null) throw workflowUnknown(id)
  const steps = await em.find(WorkflowStep, { workflowId: id, version: workflow.version })
  return documentOf(workflow, steps)
}

/** Reads a workflow of which only the row matters; one that was deleted still has its runs. */
export const readWorkflowRow = async (em: EntityManager, id: string): Promise<Workflow> => {
  const workflow = await em.findOne(Workflow, { id })
  if (workflow === null) throw workflowUnknown(id)
  return workflow
}

export const workflowUnknown = (id: string) =>
  new ControlPlaneError('workflow_unknown', `There is no workflow ${id}, or it was deleted.`)

/** Reads one more workflow than a page holds, in the order they were made. */
export const listWorkflows = async (em: EntityManager, page: PageRequest): Promise<WorkflowDocument[]> => {
  const workflows = await em.find(
    Workflow,
    { deletedAt: null, ...(page.after === undefined ? {} : { id: { $gt: page.after } }) },
    { orderBy: { id: 'asc' }, limit: page.limit + 1 },
  )
  if (workflows.length === 0) return []
  const steps = await em.find(WorkflowStep, {
    $or: workflows.map(({ id, version }) => ({ workflowId: id, version })),
  })
  const stepsOf = Map.groupBy(steps, ({ workflowId }) => workflowId)
  return workflows.map((workflow) => documentOf(workflow, stepsOf.get(workflow.id) ?? []))
}

/** A step of a workflow by its id. */
export const stepOf = (workflow: WorkflowDocument, stepId: string): StepDocument => {
  const step = workflow.steps.find(({ id }) => id === stepId)
  if (step === undefined) {
    throw new ControlPlaneError('step_unknown', `Workflow "${workflow.name}" has no step ${stepId}.`)
  }
  return step
}

/** A workflow and the steps of one version of it, as they are answered. */
export const documentOf = (workflow: Workflow, steps: readonly WorkflowStep[]): WorkflowDocument => ({
  id: workflow.id,
  name: workflow.name,
  client: workflow.client ?? null,
  automationType: workflow.automationType,
  enabled: workflow.enabled,
  version: workflow.version,
  steps: steps.toSorted((a, b) => a.position - b.position).map(stepDocumentOf),
  createdAt: workflow.createdAt.toISOString(),
  updatedAt: workflow.updatedAt.toISOString(),
})

const stepDocumentOf = (step: WorkflowStep): StepDocument => ({
  id: step.id,
  name: step.name,
  functionName: step.functionName,
  config: step.config,
  nextStep: step.nextStepId ?? null,
  outputType: step.outputType ?? null,
  retry: step.retry,
  timeoutMs: step.timeoutMs ?? null,
})
