import { randomUUID } from 'node:crypto'
import type { EntityManager } from '@mikro-orm/postgresql'
import { v7 as uuidv7 } from 'uuid'
import { openRun, Workflow, WorkflowStep } from '../src/index.ts'
import { clearRuns } from './run-rows.ts'
import { type FirstFunction, ownName } from './told-functions.ts'

type House = {
  query: (text: string, values?: unknown[]) => Promise<unknown[]>
  em: () => EntityManager
  lane: number
  window: number
}

/** Begins a run whose first step gives the second its jobs; gives its id. Nothing is left of those before it. */
export const beginRunOfTwo = async (
  { query, em, lane, window }: House,
  firstFunction: FirstFunction,
): Promise<string> => {
  await clearRuns(query)
  const workflow = { id: uuidv7(), version: 1 }
  const [split, work] = [uuidv7(), uuidv7()]
  const draft = { version: 1, workflowId: workflow.id, config: {}, retry: { maxAttempts: 2, delayMs: 0 } }
  await em().transactional(async (tx) => {
    tx.create(Workflow, { ...workflow, name: workflow.id, automationType: 'step', enabled: true }, { persist: true })
    const steps = [
      { id: split, functionName: firstFunction, outputType: 'multiple' as const, nextStepId: work },
      { id: work, functionName: firstFunction === ownName ? ownName : 'work', outputType: null, nextStepId: null },
    ]
    for (const [position, step] of steps.entries()) {
      tx.create(WorkflowStep, { ...draft, ...step, position, name: `step ${position}` }, { persist: true })
    }
  })
  const { runId } = await openRun(em(), {
    workflow,
    stepId: split,
    trigger: 'manual',
    idempotencyKey: randomUUID(),
    payload: null,
    lane,
    worker: 'test',
    window,
  })
  return runId
}
