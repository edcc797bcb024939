import { Workflow } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { v7 as uuidv7 } from 'uuid'
import { changeWorkflow } from './change-workflow.ts'
import type { StepLimits } from './check-step.ts'
import type { WorkflowDocument, WorkflowInput } from './document.ts'
import { checkedSteps, type ExpectedVersion, flushName, writeSteps, writeVersion } from './write-version.ts'

/** Saves a new workflow as its version 1. */
export const createWorkflow = (
  em: EntityManager,
  input: WorkflowInput,
  limits: StepLimits,
): Promise<WorkflowDocument> =>
  em.transactional(async (em) => {
    const id = uuidv7()
    const steps = await checkedSteps(em, { id, steps: [] }, input.steps, limits)
    const { name, client, automationType, enabled } = input
    const row = { id, name, client, automationType, enabled, version: 1 }
    const workflow = em.create(Workflow, row, { persist: true })
    await flushName(em, workflow)
    return writeSteps(em, workflow, steps)
  })

/** Puts a whole workflow in the place of the version that is there. */
export const replaceWorkflow = (
  em: EntityManager,
  id: string,
  expected: ExpectedVersion,
  input: WorkflowInput,
  limits: StepLimits,
): Promise<WorkflowDocument> =>
  changeWorkflow(em, id, expected, async (em, held) => {
    const steps = await checkedSteps(em, held.document, input.steps, limits)
    return writeVersion(em, held, input, steps)
  })

/**
 * Deletes a workflow: nothing starts it any more and its name is free. Its rows stay, since its runs are the client's
 * history and those under way finish.
 */
export const deleteWorkflow = (em: EntityManager, id: string, expected: ExpectedVersion): Promise<void> =>
  changeWorkflow(em, id, expected, async (em, { workflow, now }) => {
    em.assign(workflow, { deletedAt: now, updatedAt: now })
    await em.flush()
  })
