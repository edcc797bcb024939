import type { CronStep } from '../cron/read-cron-steps.ts'

/** A cron step whose config can be followed. */
export type TickingStep = CronStep & { config: NonNullable<CronStep['config']> }

/** What the cluster answered when a step's CronJob was last applied. */
export type AppliedCronJob = {
  object: string
  uid: string
  /** The API server raises it with every change of the spec, whoever makes it, and never with one of the status. */
  generation: number
  hash: string
  schedule: string
  timeZone: string
  suspended: boolean
  /** Since when it ticks on this schedule. */
  since: Date
  /** The save of its workflow that it was last seen to fit. */
  fitsSave: Date | null
}

/**
 * Why a step's CronJob is not as it should be: the cluster `refused` it, an object of somebody else has its name
 * (`foreign`), or no answer came (`unreachable`).
 */
export const troubleKinds = ['refused', 'foreign', 'unreachable'] as const

export type Trouble = {
  kind: (typeof troubleKinds)[number]
  /** What the API server calls it, such as `Forbidden`; null when it did not answer. */
  code: string | null
  words: string
  /** Of what was tried: another spec is tried at once. */
  hash: string
  tries: number
  nextTryAt: Date
}

/** What is known of the CronJob of a step. */
export type CronJobState = { stepId: string; applied: AppliedCronJob | null; trouble: Trouble | null }
