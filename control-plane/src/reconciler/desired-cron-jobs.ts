import { type CronStep, faultOfCronStep } from '../cron/read-cron-steps.ts'
import { cronJobManifest, type CronJobManifest, type Mould } from './cron-job-manifest.ts'
import { cronJobName } from './cron-job-name.ts'
import type { TickingStep } from './cron-job-state.ts'

/** A CronJob that should be there. */
export type Desired = { step: TickingStep; hash: string; manifest: CronJobManifest }

export type DesiredCronJobs = { desired: Desired[]; unreadable: CronStep[] }

/**
 * Gives for each cron step the CronJob that should be there, under the name that it has, and apart from them the steps whose
 * config cannot be followed: a later version saved it, or somebody wrote the row by hand. What was made of a step is kept,
 * for as long as nothing that it was made of changes: there may be thousands of them, and a turn every few seconds.
 */
export const createDesire = (mould: Mould) => {
  let made = new Map<string, { key: string; desired: Desired | null }>()
  return (steps: readonly CronStep[], nameOf: (stepId: string) => string | null): DesiredCronJobs => {
    const before = made
    made = new Map()
    const found: DesiredCronJobs = { desired: [], unreadable: [] }
    for (const step of steps) {
      const name = nameOf(step.stepId)
      const key = JSON.stringify([step, name])
      const kept = before.get(step.stepId)
      const desired = kept?.key === key ? kept.desired : desiredCronJob(step, name, mould)
      made.set(step.stepId, { key, desired })
      if (desired === null) found.unreadable.push(step)
      else found.desired.push(desired)
    }
    return found
  }
}

const desiredCronJob = (step: CronStep, known: string | null, mould: Mould): Desired | null => {
  if (!isTicking(step)) return null
  const name = known ?? cronJobName(step.workflowName, step.name, step.stepId)
  return { step, ...cronJobManifest(step, { name, mould }) }
}

const isTicking = (step: CronStep): step is TickingStep => step.config !== null && faultOfCronStep(step.config) === null
