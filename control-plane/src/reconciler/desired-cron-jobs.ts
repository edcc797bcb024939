import { type CronStep, faultOfCronStep } from '../cron/read-cron-steps.ts'
import { cronJobManifest, type CronJobManifest, type Mould } from './cron-job-manifest.ts'
import { cronJobName } from './cron-job-name.ts'
import type { AppliedCronJob, TickingStep } from './cron-job-state.ts'
import { tickingSince } from './ticking-since.ts'

/** A CronJob that should be there. */
export type Desired = { step: TickingStep; since: Date; hash: string; manifest: CronJobManifest }

/** What has a say in how a step's CronJob looks besides the step: the name that it has, and how it was applied last. */
export type Past = { name: string | null; applied: AppliedCronJob | null }

export type DesiredCronJobs = { desired: Desired[]; unreadable: CronStep[] }

/**
 * Gives for each cron step the CronJob that should be there, and apart from them the steps whose config cannot be followed:
 * a later version has saved it, or somebody wrote the row by hand. What was made of a step is kept, for as long as nothing that it was made of changes: there may
 * be thousands of them, and a turn every few seconds.
 */
export const createDesire = (mould: Mould) => {
  let made = new Map<string, { key: string; desired: Desired | null }>()
  return (steps: readonly CronStep[], pastOf: (stepId: string) => Past): DesiredCronJobs => {
    const before = made
    made = new Map()
    const found: DesiredCronJobs = { desired: [], unreadable: [] }
    for (const step of steps) {
      const past = pastOf(step.stepId)
      const key = JSON.stringify([step, past])
      const kept = before.get(step.stepId)
      const desired = kept?.key === key ? kept.desired : desiredCronJob(step, past, mould)
      made.set(step.stepId, { key, desired })
      if (desired === null) found.unreadable.push(step)
      else found.desired.push(desired)
    }
    return found
  }
}

const desiredCronJob = (step: CronStep, { name: known, applied }: Past, mould: Mould): Desired | null => {
  if (!isTicking(step)) return null
  const since = tickingSince(step, applied)
  const name = known ?? cronJobName(step.workflowName, step.name, step.stepId)
  return { step, since, ...cronJobManifest(step, { name, since, mould }) }
}

const isTicking = (step: CronStep): step is TickingStep => step.config !== null && faultOfCronStep(step.config) === null
