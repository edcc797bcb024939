import type { EntityManager } from '@mikro-orm/postgresql'
import { v7 as uuidv7 } from 'uuid'
import type { RetryPolicy } from '../model/retry-policy.ts'
import { Workflow } from '../model/workflow.ts'
import { WorkflowStep } from '../model/workflow-step.ts'

/** A step as a test writes it: a step of the API, which leads to the one that is written after it. */
export type TestStep = {
  functionName: string
  /** Its function's name unless given; of two steps of one function the second has to have its own. */
  name?: string
  config?: Record<string, unknown>
  outputType?: 'single' | 'multiple' | null
  retry?: Partial<RetryPolicy>
  timeoutMs?: number | null
}

/** Saves a workflow of steps, and gives what a run of it begins with. `functionNameOf` says which queue a step has. */
export const saveSteps = async (
  em: EntityManager,
  steps: readonly [TestStep, ...TestStep[]],
  functionNameOf: (step: TestStep) => string,
): Promise<{ workflow: { id: string; version: number }; stepId: string }> => {
  const workflow = { id: uuidv7(), version: 1 }
  const ids = steps.map(() => uuidv7())
  await em.transactional(async (em) => {
    em.create(Workflow, { ...workflow, name: workflow.id, automationType: 'step', enabled: true }, { persist: true })
    steps.forEach((step, position) => {
      const { name = step.functionName, config = {}, outputType = null, retry = {}, timeoutMs = null } = step
      const place = { id: ids[position] ?? '', version: 1, workflowId: workflow.id, position }
      const functionName = functionNameOf(step)
      const nextStepId = ids[position + 1] ?? null
      em.create(
        WorkflowStep,
        { ...place, name, functionName, config, outputType, retry, timeoutMs, nextStepId },
        { persist: true },
      )
    })
  })
  return { workflow, stepId: ids[0] ?? '' }
}
