import pRetry from 'p-retry'
import { leadsWorkflow } from '../example/leads-workflow.ts'
import type { House } from './start-house.ts'

/** The saved example: its workflow, and the step whose ticks start it. */
export type Example = { workflowId: string; cronStepId: string }

/** Some ten seconds: longer than a control plane that was killed takes to come back. */
const patience = { retries: 20, minTimeout: 200, maxTimeout: 500 }

/**
 * Saves the example workflow unless there is one of its name already: a second start finds it as it was left. The
 * control plane knows a function once its worker has said what it is, so a refusal right after the start is tried again.
 */
export const saveExample = async ({ api }: House, signal: AbortSignal): Promise<Example> => {
  const workflow = await pRetry(
    async () => (await api.findWorkflow(leadsWorkflow.name)) ?? (await api.createWorkflow(leadsWorkflow)),
    { ...patience, signal },
  )
  const cron = workflow.steps.find(({ functionName }) => functionName === 'CronJob')
  if (cron === undefined) {
    throw new Error(`workflow "${leadsWorkflow.name}" has no CronJob step any more; --fresh begins anew`)
  }
  return { workflowId: workflow.id, cronStepId: cron.id }
}

/** Fires one tick of the example and returns the run that it began. */
export const tickExample = async (
  house: House,
  { workflowId, cronStepId }: Example,
  signal: AbortSignal,
): Promise<string> => {
  const key = `start/${new Date().toISOString()}`
  await house.fireTick(cronStepId, key, signal)
  const run = await pRetry(
    async () => {
      const runs = await house.api.runs(workflowId, 20)
      const found = runs.find(({ idempotencyKey }) => idempotencyKey === key)
      if (found === undefined) throw new Error(`the tick ${key} began no run`)
      return found
    },
    { ...patience, signal },
  )
  return run.id
}
