import {
  cronJobConfig,
  cronJobFunctionName,
  describeIssues,
  findRun,
  type OpenedRun,
  openRun,
  WorkflowError,
  Workflow,
  WorkflowStep,
} from '@esteira/workflow/tick'
import { type EntityManager, IsolationLevel } from '@mikro-orm/postgresql'

/** One expected firing of a cron step. */
export type Tick = { stepId: string; key: string; maxPayloadBytes: number; lane: number; worker: string }

/**
 * Fires a tick: reads the step as its workflow has it now, takes the first payload from its config, and begins a run
 * under the tick's key. A second tick with the same key changes nothing, and resolves to that run, whatever became of the
 * step since. Whether it begins while another run of the workflow is open, the step's `overlap` says.
 *
 * @throws WorkflowError `step_unknown`, `step_deleted`, `workflow_disabled`, `config_invalid` or `payload_too_large`, or
 * `workflow_busy`, which may pass by itself; nothing is written then.
 */
export const fireTick = async (em: EntityManager, tick: Tick): Promise<OpenedRun> => {
  const { workflow, step } = await newestStep(em, tick.stepId)
  const begun = await findRun(em, { workflowId: workflow.id, idempotencyKey: tick.key })
  if (begun !== null) return { runId: begun, created: false, skipped: false, error: null }
  if (workflow.deletedAt || step.version !== workflow.version) {
    throw new WorkflowError('step_deleted', `step "${step.name}" is no longer part of workflow "${workflow.name}"`)
  }
  // A refusal that needs no lock; `openRun` looks once more, under that of the workflow.
  if (!workflow.enabled) {
    throw new WorkflowError('workflow_disabled', `workflow "${workflow.name}" is disabled`)
  }
  if (step.functionName !== cronJobFunctionName) {
    throw new WorkflowError(
      'config_invalid',
      `step "${step.name}" of workflow "${workflow.name}" is a ${step.functionName}: expected a ${cronJobFunctionName}`,
    )
  }
  const config = cronJobConfig.safeParse(step.config)
  if (!config.success) {
    const faults = describeIssues('config', config.error.issues, step.config)
    throw new WorkflowError('config_invalid', `step "${step.name}" of workflow "${workflow.name}": ${faults}`)
  }
  return openRun(em, {
    workflow,
    stepId: step.id,
    trigger: 'cron',
    idempotencyKey: tick.key,
    payload: config.data.payload ?? null,
    isOfStep: true,
    overlap: config.data.overlap,
    maxPayloadBytes: tick.maxPayloadBytes,
    lane: tick.lane,
    worker: tick.worker,
  })
}

/** Both as they were at one moment: a version that is saved between two reads would look like one without the step. */
const newestStep = (em: EntityManager, stepId: string): Promise<{ workflow: Workflow; step: WorkflowStep }> =>
  em.transactional((em) => readStep(em, stepId), { isolationLevel: IsolationLevel.REPEATABLE_READ, readOnly: true })

const readStep = async (em: EntityManager, stepId: string): Promise<{ workflow: Workflow; step: WorkflowStep }> => {
  // Nothing of it is changed: a flush would compare its payload, as text and parsed once more, with what it was.
  const newest = await em.findOne(
    WorkflowStep,
    { id: stepId },
    { orderBy: { version: 'desc' }, disableIdentityMap: true },
  )
  if (newest === null) throw new WorkflowError('step_unknown', `there is no step ${stepId}`)
  return { workflow: await em.findOneOrFail(Workflow, { id: newest.workflowId }), step: newest }
}
