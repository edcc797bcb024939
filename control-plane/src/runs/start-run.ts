import { isDeepStrictEqual } from 'node:util'
import { didYouMean } from '@esteira/service'
import {
  cronJobFunctionName,
  findRun,
  type OpenedRun,
  openRun,
  WorkflowError,
  WorkflowJob,
  WorkflowRun,
  WorkflowStep,
} from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { v7 as uuidv7 } from 'uuid'
import { busy } from '../busy.ts'
import { ControlPlaneError } from '../errors.ts'
import type { ApiContext } from '../http/api-context.ts'
import { firstSteps } from '../workflows/check-graph.ts'
import type { StepDocument, WorkflowDocument } from '../workflows/document.ts'
import { readWorkflow, workflowUnknown } from '../workflows/read-workflows.ts'
import type { RunInput } from './document.ts'
import { refusePayload } from './refuse-payload.ts'

/**
 * Starts a run by hand, at the workflow's first step or the one that is named, on the version that is there now.
 *
 * @throws ControlPlaneError `workflow_unknown`, `workflow_disabled`, `first_step_missing`, `first_step_ambiguous`,
 * `body_invalid` when the named step is not there, `payload_too_large`, `workflow_busy` when somebody holds the workflow
 * locked, or `idempotency_key_reused` when the key began another run.
 */
export const startRun = async (
  em: EntityManager,
  workflowId: string,
  input: RunInput,
  { lane, worker, maxPayloadBytes }: Pick<ApiContext, 'lane' | 'worker' | 'maxPayloadBytes'>,
): Promise<OpenedRun> => {
  const { idempotencyKey = `manual/${uuidv7()}` } = input
  const begun = input.idempotencyKey === undefined ? null : await findRun(em, { workflowId, idempotencyKey })
  // Before all else: what the workflow has become since is nothing to whoever asks once more.
  if (begun !== null) {
    await expectSame(em, begun, input)
    return { runId: begun, created: false, skipped: false, error: null }
  }
  const workflow = await readWorkflow(em, workflowId)
  if (!workflow.enabled) throw disabled(workflow)
  const step = input.step === undefined ? onlyFirstStep(workflow) : namedStep(workflow, input.step)
  const opened = await openRun(em, {
    workflow,
    stepId: step.id,
    trigger: 'manual',
    idempotencyKey,
    payload: payloadOf(step, input),
    isOfStep: !('payload' in input),
    maxPayloadBytes,
    lane,
    worker,
  })
    .catch(refuseChanged(workflow))
    .catch(refusePayload('No run was started'))
  if (!opened.created) await expectSame(em, opened.runId, input)
  return opened
}

const disabled = ({ name }: Pick<WorkflowDocument, 'name'>): ControlPlaneError =>
  new ControlPlaneError('workflow_disabled', `Workflow "${name}" is disabled; enable it to start runs.`)

/** For `catch`: the workflow was disabled, or deleted, since it was read, or somebody holds it locked. */
const refuseChanged =
  (workflow: Pick<WorkflowDocument, 'id' | 'name'>) =>
  (error: unknown): never => {
    if (!(error instanceof WorkflowError)) throw error
    if (error.code === 'workflow_disabled') throw disabled(workflow)
    if (error.code === 'step_deleted') throw workflowUnknown(workflow.id)
    if (error.code === 'workflow_busy') throw busy(error.code, error.message)
    throw error
  }

/** The same request again gets the run that it began; another one under its key is a mistake that would go unseen. */
const expectSame = async (em: EntityManager, runId: string, input: RunInput): Promise<void> => {
  const first = await em.findOne(WorkflowJob, { runId, parentId: null })
  if (first === null) return
  const isOtherStep = input.step !== undefined && !(await isStepOf(em, first, input.step))
  // Once its job was sent again that may have another one, and nobody knows the first.
  const isOtherPayload = 'payload' in input && first.revision === 0 && !isSameJson(first.payload, input.payload)
  if (!isOtherStep && !isOtherPayload) return
  throw new ControlPlaneError(
    'idempotency_key_reused',
    `Run ${runId} began under this key ${isOtherStep ? 'at another step' : 'with another payload'}; send the same, or another key.`,
  )
}

/** Whether the step of a job is named so, by its id or its name, in the version that the job's run began with. */
const isStepOf = async (em: EntityManager, { runId, stepId }: WorkflowJob, named: string): Promise<boolean> => {
  if (stepId === named) return true
  const { version } = await em.findOneOrFail(WorkflowRun, { id: runId })
  return (await em.findOneOrFail(WorkflowStep, { id: stepId, version })).name === named
}

/** As JSON has them, where `-0` is 0. */
const isSameJson = (one: unknown, other: unknown): boolean => isDeepStrictEqual(asJson(one), asJson(other))

const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null))

const onlyFirstStep = (workflow: WorkflowDocument): StepDocument => {
  const [first, ...others] = firstSteps(workflow.steps)
  if (first === undefined) {
    throw new ControlPlaneError('first_step_missing', `Workflow "${workflow.name}" has no steps.`)
  }
  if (others.length > 0) {
    const names = [first, ...others].map(({ name }) => `"${name}"`).join(', ')
    throw new ControlPlaneError('first_step_ambiguous', `Say in "step" at which to start: ${names}.`)
  }
  return first
}

const namedStep = (workflow: WorkflowDocument, step: string): StepDocument => {
  const { steps } = workflow
  const found = steps.find(({ id }) => id === step) ?? steps.find(({ name }) => name === step)
  if (found !== undefined) return found
  const names = steps.map(({ name }) => name)
  const message = `there is no step "${step}" in workflow "${workflow.name}"${didYouMean(step, names)}`
  throw new ControlPlaneError('body_invalid', 'No run was started.', { faults: [{ pointer: '/step', message }] })
}

/** What is given wins, a null too; a CronJob brings its own. */
const payloadOf = (step: StepDocument, input: RunInput): unknown => {
  if ('payload' in input) return input.payload
  return step.functionName === cronJobFunctionName ? (step.config.payload ?? null) : null
}
