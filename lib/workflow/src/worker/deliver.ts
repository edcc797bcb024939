import { randomUUID } from 'node:crypto'
import type { Log } from '@esteira/service'
import type { MikroORM } from '@mikro-orm/postgresql'
import type { ConfigTemplate } from '../config/resolve-config.ts'
import { WorkflowError } from '../errors.ts'
import type { StepFunction } from '../function/define-function.ts'
import { claimJob } from '../job/claim-job.ts'
import type { FoundJob } from '../job/find-jobs.ts'
import type { Ending, FinishedJob, HeldJob, StepOfRun } from '../job/held-job.ts'
import { isOver } from '../job/transitions.ts'
import { attemptJob } from './attempt.ts'
import type { Delivery } from './belt.ts'

/** How a delivery ended: its job was written, or there was nothing to do for it any more. */
export type Delivered =
  | { kind: 'written'; ending: Ending; job: HeldJob }
  | { kind: 'dropped'; reason: 'unknown job' | 'job is over' | 'older message' | 'held by another' }

/** What delivering needs; each call that touches the database goes on trying until it answers. */
export type DeliverMeans = {
  orm: MikroORM
  worker: string
  log: Log
  /** Deliveries of one turn become one SELECT. */
  find: (jobId: string) => Promise<FoundJob | undefined>
  /** Jobs that finish together become one unit of work; what was written, or null when the job was no longer ours. */
  commit: (finished: FinishedJob) => Promise<Ending | null>
  untilDone: <T>(work: () => Promise<T>) => Promise<T>
  stepOf: (job: FoundJob) => Promise<StepOfRun>
  configOf: (step: StepOfRun, fn: StepFunction) => ConfigTemplate
  random: () => number
  /** Aborted when the worker has stopped: what still runs then has gone back to the queue. */
  stopped: AbortSignal
}

/** A job that runs longer than this is marked `running` under a claim, so that people see it; milliseconds. */
const longJobMs = 1_000

/**
 * Carries a delivery to its end. Whatever it resolves to, the message may be acked: the job is written, or another
 * delivery answers for it.
 */
export const deliver = async (fn: StepFunction, delivery: Delivery, means: DeliverMeans): Promise<Delivered> => {
  const { jobId, seq } = delivery.reference
  const found = await means.find(jobId)
  if (found === undefined) return { kind: 'dropped', reason: 'unknown job' }
  if (isOver(found.status)) return { kind: 'dropped', reason: 'job is over' }
  if (found.seq !== seq) return { kind: 'dropped', reason: 'older message' }

  const hold = holdJob(await heldJob(found, means), means)
  // Whoever had the message, or the job, before may still be at work: from here on it cannot write any more.
  if (delivery.redelivered || found.status === 'running') {
    if (!(await isOurs(hold.claim()))) return lostTo(delivery, means)
  }

  const begun = performance.now()
  const long = setTimeout(() => void hold.claim(), longJobMs)
  // A listener that is taken away again: signals that are joined with one that outlives them are never freed.
  const giveUp = () => hold.lose(means.stopped.reason)
  means.stopped.addEventListener('abort', giveUp)
  const ending = await attemptJob(hold.job(), {
    ...means,
    ...(await functionOf(hold.job(), fn, means)),
    lost: hold.lost,
  })
  means.stopped.removeEventListener('abort', giveUp)
  clearTimeout(long)
  if (!(await isOurs(hold.settled()))) return lostTo(delivery, means)

  const job = hold.job()
  const written = await means.commit({ job, ending, elapsedMs: performance.now() - begun })
  if (written === null) return lostTo(delivery, means)
  return { kind: 'written', ending: written, job }
}

const heldJob = async (found: FoundJob, means: DeliverMeans): Promise<HeldJob> => ({
  id: found.id,
  runId: found.runId,
  seq: found.seq,
  claim: found.claim,
  attempt: found.attempt,
  payload: found.payload ?? null,
  traceparent: found.traceparent,
  step: await means.stepOf(found),
})

/** A config that cannot be read fails its job like any other fault of the attempt. */
const functionOf = async (job: HeldJob, fn: StepFunction, means: DeliverMeans) => {
  try {
    return { fn, config: means.configOf(job.step, fn) }
  } catch (error) {
    const failing: ConfigTemplate = () => Promise.reject(error)
    return { fn, config: failing }
  }
}

type Claimed = { kind: 'ours' } | { kind: 'lost' } | { kind: 'failed'; error: unknown }

/** The hold on a job: its claim is what its writes are compared with, and losing it aborts the attempt. */
const holdJob = (first: HeldJob, means: DeliverMeans) => {
  let job = first
  let claiming: Promise<Claimed> = Promise.resolve({ kind: 'ours' })
  const lost = new AbortController()
  const claimNow = async (): Promise<Claimed> => {
    const claim = randomUUID()
    try {
      if (await means.untilDone(() => claimJob(means.orm.em.fork(), job, claim, means.worker))) {
        job = { ...job, claim }
        return { kind: 'ours' }
      }
      lost.abort(new WorkflowError('attempt_failed', 'another worker has taken the job over', { final: false }))
      return { kind: 'lost' }
    } catch (error) {
      lost.abort(error)
      return { kind: 'failed', error }
    }
  }
  return {
    job: () => job,
    lost: lost.signal,
    lose: (reason: unknown): void => lost.abort(reason),
    claim: (): Promise<Claimed> => (claiming = claimNow()),
    /** Waits for a claim that is under way, so that the commit compares with the newest one. */
    settled: (): Promise<Claimed> => claiming,
  }
}

/** @throws what kept the claim from being taken or refused, since then nothing is known. */
const isOurs = async (claiming: Promise<Claimed>): Promise<boolean> => {
  const claimed = await claiming
  if (claimed.kind === 'failed') throw claimed.error
  return claimed.kind === 'ours'
}

/**
 * The compare-and-set found somebody else's writing. Either the job has moved on, or another delivery holds it under a
 * claim. That delivery is not ours and its message is not acked before the job is written, so ours is not needed; to
 * hand it back would make the two take the job from each other for as long as both run.
 */
const lostTo = async (delivery: Delivery, means: DeliverMeans): Promise<Delivered> => {
  const found = await means.find(delivery.reference.jobId)
  if (found === undefined) return { kind: 'dropped', reason: 'unknown job' }
  if (isOver(found.status)) return { kind: 'dropped', reason: 'job is over' }
  if (found.seq !== delivery.reference.seq) return { kind: 'dropped', reason: 'older message' }
  if (found.claim === null) throw new Error('a write was refused although nobody else holds the job')
  return { kind: 'dropped', reason: 'held by another' }
}
