import { isTrouble, type Tried } from './carry-out.ts'
import { aboutOf, objectOf, repairOf, stepOf } from './change-facts.ts'
import type { CronJobState } from './cron-job-state.ts'
import type { Desired } from './desired-cron-jobs.ts'
import type { Change } from './plan-changes.ts'
import type { Repairs } from './repairs.ts'

/** What a turn was about. `objects` names ten at most. */
export type ReconcileEvent =
  | { kind: 'cron-jobs.changed'; created: number; changed: number; verified: number; deleted: number; ms: number }
  | { kind: 'cron-jobs.drifted' | 'cron-jobs.added-to'; count: number; objects: string[] }
  | { kind: 'cron-jobs.contested'; count: number; objects: string[] }
  | { kind: 'cron-jobs.refused'; count: number; code: string | null; reason: string; objects: string[] }
  | { kind: 'cron-jobs.seen'; applied: number; refused: number; foreign: number; unreachable: number }

type Observe = (event: ReconcileEvent) => void

const namedObjects = 10

/** So many repairs of one object, one soon after the other, are no accident any more. */
const contestedAt = 5

/** What the changes came to, and what went wrong for the first time. */
export const tellTried = (
  observe: Observe,
  outcomes: readonly Tried[],
  states: ReadonlyMap<string, CronJobState>,
  ms: number,
): void => {
  const done = outcomes.filter(({ outcome }) => !isTrouble(outcome)).map(({ change }) => change)
  const count = (why: Change['why']): number => done.filter((change) => change.why === why).length
  const counts = {
    created: count('new'),
    changed: count('changed'),
    verified: count('unverified'),
    deleted: count('gone'),
  }
  if (Object.values(counts).some((some) => some > 0))
    observe({ kind: 'cron-jobs.changed', ...counts, ms: Math.round(ms) })
  const repaired = outcomes.filter((tried) => repairOf(tried) === 'repaired').map(({ change }) => change)
  const drifted = [...repaired, ...done.filter(({ why }) => why === 'twin')].map(objectOf)
  const addedTo = outcomes.filter((tried) => repairOf(tried) === 'added').map(({ change }) => objectOf(change))
  for (const [kind, objects] of [['cron-jobs.drifted', drifted] as const, ['cron-jobs.added-to', addedTo] as const]) {
    if (objects.length > 0) observe({ kind, count: objects.length, objects: objects.slice(0, namedObjects) })
  }
  for (const refused of refusals(outcomes, states)) observe(refused)
}

/** Who takes back what we write is told of once, when that has happened often enough; it goes on, ever more rarely. */
export const tellContested = (observe: Observe, outcomes: readonly Tried[], repairs: Repairs): void => {
  const made = outcomes.filter((tried) => repairOf(tried) === 'repaired')
  const contested = made.flatMap(({ change }) =>
    repairs.repaired(stepOf(change)) === contestedAt ? [objectOf(change)] : [],
  )
  if (contested.length === 0) return
  observe({ kind: 'cron-jobs.contested', count: contested.length, objects: contested.slice(0, namedObjects) })
}

/** How all cron steps stand after a turn. */
export const tellSeen = (
  observe: Observe,
  desired: readonly Desired[],
  states: ReadonlyMap<string, CronJobState>,
): void => {
  const counts = { applied: 0, refused: 0, foreign: 0, unreachable: 0 }
  for (const { step } of desired) {
    const { applied = null, trouble = null } = states.get(step.stepId) ?? {}
    if (trouble !== null) counts[trouble.kind] += 1
    else if (applied !== null) counts.applied += 1
  }
  observe({ kind: 'cron-jobs.seen', ...counts })
}

/** Once for what is new; it stays to be seen at the API, and is tried for as long as it takes. */
const refusals = (outcomes: readonly Tried[], states: ReadonlyMap<string, CronJobState>): ReconcileEvent[] => {
  const found = new Map<string, { code: string | null; reason: string; objects: string[] }>()
  for (const { change, outcome } of outcomes) {
    if (!isTrouble(outcome)) continue
    const last = states.get(stepOf(change))?.trouble
    const code = 'code' in outcome ? outcome.code : null
    if (last?.hash === aboutOf(change) && last.code === code && last.tries > 0) continue
    const alike = found.get(code ?? outcome.kind) ?? { code, reason: outcome.words, objects: [] }
    alike.objects.push(objectOf(change))
    found.set(code ?? outcome.kind, alike)
  }
  return [...found.values()].map(({ code, reason, objects }) => {
    return { kind: 'cron-jobs.refused', count: objects.length, code, reason, objects: objects.slice(0, namedObjects) }
  })
}
