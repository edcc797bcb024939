import type { EntityManager } from '@mikro-orm/postgresql'
import { ControlPlaneError } from '../errors.ts'
import { changeWorkflow } from './change-workflow.ts'
import type { StepLimits } from './check-step.ts'
import type { StepDocument, StepInput, WorkflowDocument } from './document.ts'
import { stepOf } from './read-workflows.ts'
import { checkedSteps, type ExpectedVersion, refuse, writeVersion } from './write-version.ts'

/** A step as it was saved, with the version of the workflow that this made. */
export type SavedStep = { step: StepDocument; version: number }

/** Adds a step at the end of a workflow. */
export const addStep = (
  em: EntityManager,
  workflowId: string,
  expected: ExpectedVersion,
  input: StepInput,
  limits: StepLimits,
): Promise<SavedStep> =>
  changeWorkflow(em, workflowId, expected, async (em, held) => {
    const index = held.document.steps.length
    const steps = await checkedSteps(em, held.document, [...held.document.steps, input], limits, index)
    return savedStep(await writeVersion(em, held, held.document, steps), index)
  })

/** Puts a step in the place of the one that has its id. */
export const replaceStep = (
  em: EntityManager,
  at: { workflowId: string; stepId: string },
  expected: ExpectedVersion,
  input: StepInput,
  limits: StepLimits,
): Promise<SavedStep> =>
  changeWorkflow(em, at.workflowId, expected, async (em, held) => {
    const index = held.document.steps.indexOf(stepOf(held.document, at.stepId))
    if (input.id !== undefined && input.id !== at.stepId) {
      refuse([{ pointer: '/id', message: `the address says ${at.stepId}; leave it out or send the same` }])
    }
    const inputs = held.document.steps.with(index, { ...input, id: at.stepId })
    const steps = await checkedSteps(em, held.document, inputs, limits, index)
    return savedStep(await writeVersion(em, held, held.document, steps), index)
  })

/**
 * Takes a step out of a workflow.
 *
 * @throws ControlPlaneError `step_in_use` when another step points to it.
 */
export const removeStep = (
  em: EntityManager,
  at: { workflowId: string; stepId: string },
  expected: ExpectedVersion,
): Promise<void> =>
  changeWorkflow(em, at.workflowId, expected, async (em, held) => {
    const { name } = stepOf(held.document, at.stepId)
    const pointing = held.document.steps.filter((step) => step.nextStep === at.stepId)
    if (pointing.length > 0) {
      const names = pointing.map((step) => `"${step.name}"`).join(', ')
      throw new ControlPlaneError('step_in_use', `Step "${name}" is the next step of ${names}.`)
    }
    await writeVersion(
      em,
      held,
      held.document,
      held.document.steps.filter(({ id }) => id !== at.stepId),
    )
  })

const savedStep = (workflow: WorkflowDocument, index: number): SavedStep => {
  const step = workflow.steps[index]
  if (step === undefined) throw new Error(`version ${workflow.version} was written without its step ${index}`)
  return { step, version: workflow.version }
}
