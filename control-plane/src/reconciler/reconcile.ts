import type { Queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import { type CronStep, readCronSteps } from '../cron/read-cron-steps.ts'
import type { NoAnswer } from './cluster/answer.ts'
import { connections } from './cluster/open-cluster.ts'
import type { View } from './cluster-view.ts'
import type { CronJobState } from './cron-job-state.ts'
import type { CronJobs } from './cron-jobs.ts'
import type { DesiredCronJobs } from './desired-cron-jobs.ts'
import { carryOut, type Tried } from './carry-out.ts'
import { aboutOf, isRepair, stepOf } from './change-facts.ts'
import { whileLeading } from './lead.ts'
import { type ByStep, byStep, type Change, ofDatabase, planChanges } from './plan-changes.ts'
import { readStates } from './read-states.ts'
import type { Repairs } from './repairs.ts'
import { statesAfter, statesWhileWaiting } from './states-after.ts'
import { type ReconcileEvent, tellContested, tellSeen, tellTried } from './tell-turn.ts'
import { dropStates, writeStates } from './write-states.ts'

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
    const written = statesWhileWaiting(view, desired, states, now)
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
  const outcomes: Tried[] = []
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

  tellTried(observe, outcomes, states, performance.now() - begunMs)
  tellContested(observe, outcomes, repairs)
  tellSeen(observe, desired, after.all)
  return {
    more: due.length > mostChanges,
    doubtful: outcomes.some(({ outcome }) => outcome.kind === 'conflict' || outcome.kind === 'unknown'),
    held,
    ...seen,
  }
}

const isDue = (change: Change, states: ReadonlyMap<string, CronJobState>, now: Date): boolean => {
  const trouble = states.get(stepOf(change))?.trouble ?? null
  return trouble === null || trouble.hash !== aboutOf(change) || trouble.nextTryAt <= now
}
