import { backoffMs } from '@esteira/outbox/internal/connection'
import { type Bad, isTrouble, type Outcome, type Tried } from './carry-out.ts'
import { aboutOf, stepOf } from './change-facts.ts'
import type { View } from './cluster-view.ts'
import type { AppliedCronJob, CronJobState, Trouble } from './cron-job-state.ts'
import type { Desired } from './desired-cron-jobs.ts'
import { isSuspended } from './is-suspended.ts'
import type { Change } from './plan-changes.ts'

const refusedBackoff = { firstMs: 1_000, capMs: 300_000 }

/**
 * What is written while nothing can be done. With the cluster away only steps that wait for something are in trouble by it:
 * ticks of the others go on, since the cluster fires them. Without the anchor all are, since the cluster collects what hung
 * on it.
 */
export const statesWhileWaiting = (
  view: Exclude<View, { kind: 'seen' }>,
  desired: readonly Desired[],
  states: ReadonlyMap<string, CronJobState>,
  at: Date,
): CronJobState[] =>
  desired.flatMap(({ step: { stepId, savedAt }, hash }): CronJobState[] => {
    const { applied, trouble } = states.get(stepId) ?? { applied: null, trouble: null }
    if (view.kind === 'away' && applied?.hash === hash) {
      return fits(applied, savedAt) ? [] : [{ stepId, applied: { ...applied, fitsSave: savedAt }, trouble }]
    }
    const kind = view.kind === 'away' ? view.trouble : 'unreachable'
    const code = view.kind === 'away' ? view.code : null
    const words = view.kind === 'away' ? view.words : `${view.words}: the cluster removes the CronJobs that hang on it`
    if (trouble?.kind === kind && trouble.words === words && trouble.hash === hash) return []
    // It is tried as soon as there is a cluster again.
    return [{ stepId, applied, trouble: { kind, code, words, hash, tries: 0, nextTryAt: at } }]
  })

type Turn = {
  changes: readonly Change[]
  outcomes: readonly Tried[]
  states: ReadonlyMap<string, CronJobState>
  desired: readonly Desired[]
  at: Date
}

/** The states after a turn, and those of them that are others than before. */
export const statesAfter = ({ changes, outcomes, states, desired, at }: Turn) => {
  const all = new Map(states)
  const before = (stepId: string): CronJobState => all.get(stepId) ?? { stepId, applied: null, trouble: null }
  const planned = new Set(changes.map(stepOf))
  // What kept a step from being as it should be is over when there is nothing to do for it, and its CronJob fits the save.
  for (const { step } of desired) {
    const { stepId, savedAt } = step
    const { applied, trouble } = before(stepId)
    if (planned.has(stepId)) continue
    const fitting = applied === null || fits(applied, savedAt) ? applied : { ...applied, fitsSave: savedAt }
    if (fitting !== applied || trouble !== null) all.set(stepId, { stepId, applied: fitting, trouble: null })
  }
  // Those that went well first: of a step's several changes a trouble is what stays.
  const sorted = outcomes.toSorted((a, b) => Number(isTrouble(a.outcome)) - Number(isTrouble(b.outcome)))
  for (const { change, outcome } of sorted) {
    const stepId = stepOf(change)
    const { applied } = before(stepId)
    if (isTrouble(outcome)) {
      const last = states.get(stepId)?.trouble ?? null
      all.set(stepId, { stepId, applied, trouble: troubleOf(outcome, aboutOf(change), last, at) })
    } else if (outcome.kind === 'applied' && change.kind !== 'delete') {
      all.set(stepId, { stepId, applied: appliedOf(change.desired, outcome), trouble: null })
    } else if (all.has(stepId)) {
      all.set(stepId, { stepId, applied, trouble: null })
    }
  }
  return { all, written: [...all.values()].filter((state) => states.get(state.stepId) !== state) }
}

const fits = ({ fitsSave }: AppliedCronJob, savedAt: Date): boolean => fitsSave?.getTime() === savedAt.getTime()

const troubleOf = (outcome: Bad, hash: string, last: Trouble | null, at: Date): Trouble => {
  const tries = last?.hash === hash ? last.tries + 1 : 1
  const nextTryAt = new Date(at.getTime() + backoffMs(tries, refusedBackoff))
  const { words } = outcome
  switch (outcome.kind) {
    case 'foreign':
      return { kind: 'foreign', code: null, words, hash, tries, nextTryAt }
    case 'conflict':
    case 'refused':
      return { kind: 'refused', code: outcome.code, words, hash, tries, nextTryAt }
    case 'later':
    case 'unknown':
      return { kind: 'unreachable', code: null, words, hash, tries, nextTryAt }
  }
}

const appliedOf = ({ step, hash }: Desired, { object }: Extract<Outcome, { kind: 'applied' }>) => ({
  object: object.name,
  uid: object.uid,
  generation: object.generation,
  hash,
  schedule: step.config.schedule,
  timeZone: step.config.timeZone,
  suspended: isSuspended(step),
  since: step.since,
  fitsSave: step.savedAt,
})
