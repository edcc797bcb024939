import { type Log, reasonOf } from '@esteira/service'
import type { MikroORM } from '@mikro-orm/postgresql'
import type { SpanContext } from '@opentelemetry/api'
import type { ConfigTemplate } from '../../config/resolve-config.ts'
import { WorkflowError } from '../../errors.ts'
import { type StepFunction, timeoutOf } from '../../function/define-function.ts'
import type { TakenJob } from '../../job/claim-jobs.ts'
import type { FoundJob } from '../../job/find-jobs.ts'
import type { FinishedJob, HeldJob, JobOnBelt, StepOfRun } from '../../job/held-job.ts'
import { jobError } from '../../job/job-error.ts'
import { nextTryOf } from '../../job/next-try.ts'
import type { HeldDelivery } from '../../job/send-later.ts'
import type { Secrets } from '../../secrets/read-secrets.ts'
import { logOfJob } from '../../trace/log-of-job.ts'
import { inProcessSpan, type Traced } from './process-span.ts'
import type { Abandoned } from '../attempt/abandoned.ts'
import { attemptJob, type AttemptMeans } from '../attempt/attempt.ts'
import type { Beats } from '../hold/beats.ts'
import { blameFor } from '../commit/blame.ts'
import type { Brought } from './bring-payload.ts'
import type { PatientClaim } from '../hold/claim-patiently.ts'
import type { Fate } from '../commit/commit-group.ts'
import { heldLocked, heldUp, leaveHeld, putOffForLock, putOffMs } from '../commit/commit-patiently.ts'
import { type Delivered, finish, lostTo } from './finish.ts'
import { holdJob } from '../hold/hold.ts'
import { type DeliveryFacts, load, type Taken } from './load.ts'
import type { OwnUnits } from '../commit/own-units.ts'
import { pagesOf } from '../stream/held-pages.ts'
import type { PageMemory } from '../stream/page-memory.ts'
import type { PageWrites } from '../stream/page-writes.ts'
import { streamOf } from '../stream/stream-of.ts'
import { runSuspect, suspectsFor } from '../suspect/run-suspect.ts'
import type { Suspects } from '../suspect/suspects.ts'
import { takeOver } from './take-over.ts'

/** What delivering needs; each call that touches the database goes on trying until it answers. */
export type DeliverMeans = {
  orm: MikroORM
  worker: string
  log: Log
  /** Deliveries of one turn become one SELECT. */
  find: (jobId: string) => Promise<FoundJob | undefined>
  /** The job with its payload, where that was too large to come with it; null when there was no room in memory in time. */
  bring: (job: HeldJob) => Promise<Brought | null>
  /** The job's step in the version of its run; undefined when that has none such. */
  stepOf: (job: FoundJob) => Promise<StepOfRun | undefined>
  configOf: (step: StepOfRun, fn: StepFunction) => ConfigTemplate
  secrets: Secrets
  /** Beats for the long ones of the jobs at work. */
  beats: Beats
  /** Watches functions that run on after their attempts. */
  abandoned: Abandoned
  /** Attempts jobs in units of work of their own. */
  ownUnits: OwnUnits
  /** Attempts jobs in a process apart; null in a worker that has no program to start it by. */
  suspects: Suspects | null
  /** Takes a job over, many of one moment in one statement, and says where it stands; undefined when somebody was first. */
  claim: (claim: PatientClaim) => Promise<TakenJob | undefined>
  /** Jobs that finish together become one unit of work. Each waits for locks for as long as its delivery may last. */
  commit: (finished: FinishedJob, receivedMs: number) => Promise<Fate>
  /** Whether a job had better neither begin nor end, as its run is held locked and others wait for that. */
  isHeldBack: (job: JobOnBelt) => boolean
  /** Hears of each job that could not be had, as somebody holds its row. */
  onHeld: () => void
  /** Whether somebody holds the row of a job in this moment; waits for no lock. */
  isLocked: (job: JobOnBelt) => Promise<boolean>
  /** Has a delivery come once more, later, of whose job nothing can be written now. */
  sendLater: (held: HeldDelivery) => Promise<void>
  /** Writes items of jobs that give very many, before their end. */
  pages: PageWrites
  /** Tries again for as long as what is thrown may pass by itself: of Esteira's own database, unless it is said otherwise. */
  untilDone: <T>(work: () => Promise<T>, mayPass?: (error: unknown) => boolean) => Promise<T>
  random: () => number
  /** What each value of a result may have as JSON. */
  maxPayloadBytes: number
  /** How many items a page has at most. */
  pageItems: number
  /** A page that has a cursor is written when it is so old, milliseconds, full or not; a second unless given. */
  pageAgeMs?: number
  /** The memory that items have until they are written. */
  pageMemory: PageMemory
  /** A job goes on in a new delivery after this, milliseconds: behind a cursor, or with hidden pages to be accepted. */
  continueMs: number
  /** Aborted when the worker has stopped: what still runs then has gone back to the queue. */
  stopped: AbortSignal
}

type OnRunsOn = AttemptMeans['onRunsOn']

/**
 * Carries a delivery to its end: loads its job, holds it, attempts it and writes how that ended. `onKept` hears when the
 * place of its function will be free that runs on behind its attempt, also where what is thrown then is all that comes.
 *
 * @throws WorkflowError `worker_stopped` for whatever comes of what was under way when its worker gave that up; else what
 * kept the job from being written.
 */
export const deliver = async (
  fn: StepFunction,
  delivery: DeliveryFacts,
  means: DeliverMeans,
  onKept: (free: Promise<void>) => void,
): Promise<Delivered & Traced> => {
  try {
    return await carryOut(fn, delivery, means, (running) =>
      onKept(means.abandoned.untilFree(fn.name, delivery.reference.jobId, running)),
    )
  } catch (cause) {
    throw means.stopped.aborted ? stoppedBefore(delivery, cause) : cause
  }
}

const stoppedBefore = ({ reference }: DeliveryFacts, cause: unknown): WorkflowError => {
  const { jobId, seq } = reference
  const message =
    `message ${seq} of job ${jobId} was in hand when the worker stopped, and goes back: its end was expected to be ` +
    `written within the grace period (ESTEIRA_GRACE_MS), and what was under way was given up: ${reasonOf(cause)}`
  return new WorkflowError('worker_stopped', message, { cause, final: false })
}

const carryOut = async (
  fn: StepFunction,
  delivery: DeliveryFacts,
  means: DeliverMeans,
  onRunsOn: OnRunsOn,
): Promise<Delivered & Traced> => {
  const taken = await load(fn, delivery, means)
  switch (taken.kind) {
    case 'drop':
      return { kind: 'dropped', reason: taken.reason }
    case 'end': {
      const { job } = taken
      const ending = means.isHeldBack(job) ? putOffForLock(job) : taken.ending
      const ended = await unlessHeld(job, delivery, means, () => finish({ job, ending, elapsedMs: 0 }, delivery, means))
      // As in `takeOver`: whoever has marked the job since it was found may be dead, and this the message that it had.
      const isAnothers = ended.kind === 'dropped' && ended.reason === 'held by another'
      return isAnothers && delivery.redelivered ? carryOut(fn, delivery, means, onRunsOn) : ended
    }
    case 'run':
      return inProcessSpan(taken.job, delivery.receivedMs, (place) =>
        unlessHeld(taken.job, delivery, means, () => tryJob(fn, taken, delivery, means, onRunsOn, place)),
      )
  }
}

/**
 * Puts a delivery off while somebody holds the row of its job, and acks it: a message for later is written, for which that is
 * not needed. To hand the delivery back would have it come again before any other, and count as handed out once more.
 */
const unlessHeld = async (
  job: JobOnBelt,
  delivery: DeliveryFacts,
  means: DeliverMeans,
  work: () => Promise<Delivered>,
): Promise<Delivered> => {
  try {
    // What was held before may still be: to find that out by an attempt would take its function a place each time.
    if (delivery.putOffs > 0 && (await means.isLocked(job))) throw heldUp()
    return await work()
  } catch (error) {
    if (blameFor(error) !== 'held up') throw error
    const { putOffs, deliveries } = delivery
    await means.sendLater({ job, putOffs, deliveries })
    return { kind: 'dropped', reason: 'job is held locked' }
  }
}

const tryJob = async (
  fn: StepFunction,
  taken: Taken & { kind: 'run' },
  delivery: DeliveryFacts,
  means: DeliverMeans,
  onRunsOn: OnRunsOn,
  place: SpanContext,
): Promise<Delivered> => {
  if (means.isHeldBack(taken.job)) return putOff(taken, delivery, means, place, heldBack)
  const brought = await means.bring(taken.job)
  if (brought === null) return putOff(taken, delivery, means, place, noRoom)
  const { job, leave } = brought
  try {
    const suspects = suspectsFor(job, delivery, means)
    if (suspects !== null) return await runSuspect(fn, { ...taken, job }, delivery, means, suspects, place)
    return await (fn.unit === 'own'
      ? runInOwnUnit(fn, job, delivery, means, onRunsOn, place)
      : run(fn, { ...taken, job }, delivery, means, onRunsOn, place))
  } finally {
    leave()
  }
}

/** Why a job is put off, and for how long. */
type PutOff = { why: string; delayMs: number }

const noRoom: PutOff = { why: 'the worker had no room in memory for its payload in time', delayMs: 0 }
const heldBack: PutOff = { why: heldLocked, delayMs: putOffMs }

/**
 * Gives a job that would wait too long a new message, at the end of the queue: the broker would take this one back, with all
 * others in hand, and count them as handed out twice. It burns no attempt.
 */
const putOff = async (
  { job, isTakeover }: Taken & { kind: 'run' },
  delivery: DeliveryFacts,
  means: DeliverMeans,
  place: SpanContext,
  { why, delayMs }: PutOff,
): Promise<Delivered> => {
  const hold = holdJob(job, means, delivery)
  if (isTakeover && !(await takeOver(hold, delivery, means))) return lostTo(delivery, means)
  const { attempt } = hold.job()
  const ending = { kind: 'requeued', attempt, delayMs, error: jobError('snoozed', why) } as const
  return finish({ job: hold.job(), ending, elapsedMs: 0, place }, delivery, means)
}

/** `place` is where this is in the job's trace. */
const run = async (
  fn: StepFunction,
  { job, isTakeover }: Taken & { kind: 'run' },
  delivery: DeliveryFacts,
  means: DeliverMeans,
  onRunsOn: OnRunsOn,
  place: SpanContext,
): Promise<Delivered> => {
  const hold = holdJob(job, means, delivery)
  // One whose function is done only has its items accepted; its claim tells those that go on with that from each other.
  const isHeldFirst = isTakeover || job.accepted !== null
  if (isHeldFirst && !(await takeOver(hold, delivery, means))) return lostTo(delivery, means)
  const begun = performance.now()
  const log = logOfJob(means.log, place)
  const { secrets, random, maxPayloadBytes } = means
  const pages = pagesOf(fn, hold, means, place)
  const stream = pages && streamOf(fn, pages, means)
  try {
    const ending = await hold.during(async (lost) => {
      const attempted = stream?.isSealed()
        ? stream.allGiven
        : // As it was taken, not as it was found: whoever had it before may have written pages in between.
          await attemptJob(hold.job(), {
            fn,
            config: configOf(job, fn, means),
            secrets,
            log,
            lost,
            random,
            stream,
            onRunsOn,
            maxPayloadBytes,
          })
      // A cancel is heard while a page is still on its way into the tables, or the claim with which the end is compared.
      await pages?.idle()
      return pages?.isSealed() && attempted.kind === 'succeeded' ? pages.accept(lost) : attempted
    })
    const isHeldUp = pages?.isHeldUp() === true
    if (!isHeldUp) pages?.throwFault()
    if (!(await hold.isOurs())) return await lostTo(delivery, means)
    const finished = {
      job: hold.job(),
      ending: isHeldUp && ending.kind !== 'cancelled' ? putOffForLock(hold.job()) : ending,
      elapsedMs: performance.now() - begun,
      place,
      nextTry: nextTryOf(hold.job(), fn, random),
    }
    return await finish(finished, delivery, means)
  } finally {
    stream?.leave()
  }
}

/** Nothing has to be taken over: the lock on the job keeps everybody else out, and is gone with its holder. */
const runInOwnUnit = async (
  fn: StepFunction,
  job: HeldJob,
  delivery: DeliveryFacts,
  means: DeliverMeans,
  onRunsOn: OnRunsOn,
  place: SpanContext,
): Promise<Delivered> => {
  const hold = holdJob(job, means, delivery, { looksOnly: true })
  const config = configOf(job, fn, means)
  const log = logOfJob(means.log, place)
  const { secrets, random, maxPayloadBytes } = means
  const fate = await hold.during((lost) =>
    means.ownUnits({ job, place, nextTry: nextTryOf(job, fn, random) }, timeoutOf(fn, job.step), async (em) => {
      let runsOn = false
      const ending = await attemptJob(job, {
        fn,
        config,
        secrets,
        log,
        lost,
        random,
        em,
        maxPayloadBytes,
        onRunsOn: (running) => {
          runsOn = true
          onRunsOn(running)
        },
      })
      return { ending, runsOn }
    }),
  )
  if (fate.kind === 'ended') return finish(fate.finished, delivery, means)
  if (fate.kind === 'held') return leaveHeld(means)
  return fate.kind === 'lost' ? lostTo(delivery, means) : fate
}

/** A config that cannot be read fails its job like any other fault of the attempt. */
export const configOf = (
  { step }: HeldJob,
  fn: StepFunction,
  means: Pick<DeliverMeans, 'configOf'>,
): ConfigTemplate => {
  try {
    return means.configOf(step, fn)
  } catch (error) {
    return () => Promise.reject(error)
  }
}
