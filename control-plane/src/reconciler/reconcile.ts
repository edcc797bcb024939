import { backoffMs } from '@esteira/outbox/internal/connection'
import type { Queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import { type CronStep, readCronSteps } from '../cron/read-cron-steps.ts'
import type { NoAnswer } from './cluster/answer.ts'
import { connections } from './cluster/open-cluster.ts'
import type { View } from './cluster-view.ts'
import type { AppliedCronJob, CronJobState, Trouble } from './cron-job-state.ts'
import type { CronJobs } from './cron-jobs.ts'
import type { Desired, DesiredCronJobs } from './desired-cron-jobs.ts'
import { carryOut, type Outcome } from './carry-out.ts'
import { whileLeading } from './lead.ts'
import { type ByStep, byStep, type Change, ofDatabase, planChanges } from './plan-changes.ts'
import { readStates } from './read-states.ts'
import type { Repairs } from './repairs.ts'
import { isSuspended } from './is-suspended.ts'
import { dropStates, writeStates } from './write-states.ts'

/** What a turn was about. `objects` names ten at most. */
export type ReconcileEvent =
  | { kind: 'cron-jobs.changed'; created: number; changed: number; verified: number; deleted: number; ms: number }
  | { kind: 'cron-jobs.drifted'; count: number; objects: string[] }
  | { kind: 'cron-jobs.contested'; count: number; objects: string[] }
  | { kind: 'cron-jobs.refused'; count: number; code: string | null; reason: string; objects: string[] }
  | { kind: 'cron-jobs.seen'; applied: number; refused: number; foreign: number; unreachable: number }

type Means = {
  em: EntityManager
  view: View
  cronJobs: CronJobs
  desire: (steps: readonly CronStep[], nameOf: (stepId: string) => string | null) => DesiredCronJobs
  repairs: Repairs
  /** What the database is known by. */
  database: string
  /** Whether changes may still be made: the lead is ours, and nobody wants us to stop. */
  mayWrite: () => boolean
  /** The session that has the lead: without it what is known of the steps is another's to write. */
  lead: Queryable
  observe: (event: ReconcileEvent) => void
}

export type Report = {
  /** More was to be done than fits a turn. */
  more: boolean
  /** The cluster is not as the view has it, or may not be there at all. */
  doubtful: boolean
  /** What made the turn end early: the API server asks to wait, or gives no answer. */
  held: Extract<NoAnswer, { kind: 'later' | 'unknown' }> | null
  unreadable: CronStep[]
  /** CronJobs of the release that are another database's, by their names. */
  others: string[]
}

/** A save waits for the turn before it. */
const mostChanges = 200
/** Of as many in a row that get no answer the next would get none either. */
const mostUnknown = 3

const refusedBackoff = { firstMs: 1_000, capMs: 300_000 }

const namedObjects = 10

/** So many repairs of one object, one soon after the other, are no accident any more. */
const contestedAt = 5

/**
 * One turn: reads what should be and what is known, and makes the cluster so. What came of each step is written for the
 * API. It can be called at any time and any number of times; nothing is remembered from one call to the next but what lies
 * in the tables and in the cluster.
 */
export const reconcileOnce = async (means: Means): Promise<Report> => {
  const { em, view, cronJobs, desire, repairs, database, mayWrite, lead, observe } = means
  const { now, steps } = await readCronSteps(em)
  const begunMs = performance.now()
  const states = await readStates(em)
  const known = new Map(
    [...states].flatMap(([stepId, { applied }]) => (applied === null ? [] : [[stepId, applied] as const])),
  )
  const { ours, others } = ofDatabase(view.kind === 'seen' ? view.picture.objects() : [], known, database)
  const actual: ByStep = byStep(ours, known)
  const { desired, unreadable } = desire(
    steps,
    (stepId) => actual.get(stepId)?.[0]?.name ?? known.get(stepId)?.object ?? null,
  )
  const seen = { unreadable, others: others.map(({ name }) => name) }
  if (view.kind !== 'seen') {
    const written = waiting(view, desired, states, now)
    if (await whileLeading(() => writeStates(lead, written))) {
      tellSeen(observe, desired, new Map([...states, ...written.map((state) => [state.stepId, state] as const)]))
    }
    return { more: false, doubtful: false, held: null, ...seen }
  }

  const untouched = new Set(unreadable.map(({ stepId }) => stepId))
  const changes = planChanges({ desired, untouched, actual, known, anchorUid: view.anchor.uid })
  const due = changes.filter(
    (change) => isDue(change, states, now) && (!isRepair(change) || repairs.mayRepair(stepOf(change))),
  )
  const outcomes: { change: Change; outcome: Outcome }[] = []
  let held: Report['held'] = null
  let unknownInRow = 0
  const left = due.slice(0, mostChanges).values()
  // Each takes the next change from one list, so a slow one holds up nobody.
  const work = async (): Promise<void> => {
    for (const change of left) {
      if (held !== null || !mayWrite()) return
      const outcome = await carryOut(change, { cronJobs, anchor: view.anchor, known, database })
      unknownInRow = outcome.kind === 'unknown' ? unknownInRow + 1 : 0
      if (outcome.kind === 'later' || (outcome.kind === 'unknown' && unknownInRow >= mostUnknown)) held = outcome
      if (outcome.kind === 'applied') view.picture.put(outcome.object)
      if (outcome.kind === 'deleted' && change.kind === 'delete') view.picture.drop(change.uid)
      outcomes.push({ change, outcome })
    }
  }
  await Promise.all(Array.from({ length: connections }, work))

  // By the database's clock, as the next turn reads it.
  const at = new Date(now.getTime() + performance.now() - begunMs)
  const after = statesAfter({ changes, outcomes, states, desired, at })
  const wanted = new Set(steps.map(({ stepId }) => stepId))
  const objects = byStep(ofDatabase(view.picture.objects(), known, database).ours, known)
  const gone = [...states.keys()].filter((stepId) => !wanted.has(stepId) && !objects.has(stepId))
  // A process that was frozen with answers in hand would write them over what the next to lead has made of the steps since.
  const isWritten = await whileLeading(async () => {
    await writeStates(lead, after.written)
    await dropStates(lead, gone)
  })
  if (!isWritten) return { more: false, doubtful: true, held, ...seen }

  tell(observe, outcomes, states, performance.now() - begunMs)
  tellContested(observe, outcomes, repairs)
  tellSeen(observe, desired, after.all)
  return {
    more: due.length > mostChanges,
    doubtful: outcomes.some(({ outcome }) => outcome.kind === 'conflict' || outcome.kind === 'unknown'),
    held,
    ...seen,
  }
}

/** What a trouble is about: the spec that could not be applied, or the removal of what should not be there. */
const aboutOf = (change: Change): string => (change.kind === 'delete' ? '' : change.desired.hash)

const stepOf = (change: Change): string => (change.kind === 'delete' ? change.stepId : change.desired.step.stepId)

/** Whether somebody else has changed or deleted what is to be written. */
const isRepair = ({ why }: Change): boolean => why === 'drifted' || why === 'lost'

const isDue = (change: Change, states: ReadonlyMap<string, CronJobState>, now: Date): boolean => {
  const trouble = states.get(stepOf(change))?.trouble ?? null
  return trouble === null || trouble.hash !== aboutOf(change) || trouble.nextTryAt <= now
}

/**
 * What is written while nothing can be done. With the cluster away only steps that wait for something are in trouble by it:
 * ticks of the others go on, since the cluster fires them. Without the anchor all are, since the cluster collects what hung
 * on it.
 */
const waiting = (
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

const fits = ({ fitsSave }: AppliedCronJob, savedAt: Date): boolean => fitsSave?.getTime() === savedAt.getTime()

type Turn = {
  changes: readonly Change[]
  outcomes: readonly { change: Change; outcome: Outcome }[]
  states: ReadonlyMap<string, CronJobState>
  desired: readonly Desired[]
  at: Date
}

/** The states after a turn, and those of them that are others than before. */
const statesAfter = ({ changes, outcomes, states, desired, at }: Turn) => {
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

type Bad = Exclude<Outcome, { kind: 'applied' | 'deleted' }>

const isTrouble = (outcome: Outcome): outcome is Bad => outcome.kind !== 'applied' && outcome.kind !== 'deleted'

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

const tell = (
  observe: Means['observe'],
  outcomes: readonly { change: Change; outcome: Outcome }[],
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
  const drifted = done.filter(({ why }) => why === 'drifted' || why === 'lost' || why === 'twin').map(objectOf)
  if (drifted.length > 0) {
    observe({ kind: 'cron-jobs.drifted', count: drifted.length, objects: drifted.slice(0, namedObjects) })
  }
  for (const refused of refusals(outcomes, states)) observe(refused)
}

/** Who takes back what we write is told of once, when that has happened often enough; it goes on, ever more rarely. */
const tellContested = (
  observe: Means['observe'],
  outcomes: readonly { change: Change; outcome: Outcome }[],
  repairs: Repairs,
): void => {
  const made = outcomes.filter(({ change, outcome }) => isRepair(change) && outcome.kind === 'applied')
  const contested = made.flatMap(({ change }) =>
    repairs.repaired(stepOf(change)) === contestedAt ? [objectOf(change)] : [],
  )
  if (contested.length === 0) return
  observe({ kind: 'cron-jobs.contested', count: contested.length, objects: contested.slice(0, namedObjects) })
}

const objectOf = (change: Change): string =>
  change.kind === 'delete' ? change.name : change.desired.manifest.metadata.name

/** Once for what is new; it stays to be seen at the API, and is tried for as long as it takes. */
const refusals = (
  outcomes: readonly { change: Change; outcome: Outcome }[],
  states: ReadonlyMap<string, CronJobState>,
): ReconcileEvent[] => {
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

const tellSeen = (
  observe: Means['observe'],
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
