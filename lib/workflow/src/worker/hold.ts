import { randomUUID } from 'node:crypto'
import { WorkflowError } from '../errors.ts'
import { claimJob } from '../job/claim-job.ts'
import type { HeldJob } from '../job/held-job.ts'
import type { DeliverMeans } from './deliver.ts'

/** The hold on a job: its claim is what its writes are compared with, and losing it aborts the attempt. */
export type Hold = {
  /** The job with the newest claim. */
  job: () => HeldJob
  /** Takes the job over, so that whoever had it before cannot write it any more; false when somebody was first. */
  take: () => Promise<boolean>
  /** Runs an attempt; one that is long is marked `running` under a claim. `lost` tells that the job is ours no more. */
  during: <T>(attempt: (lost: AbortSignal) => Promise<T>) => Promise<T>
  /**
   * Whether the job is still ours, once a claim that is under way is settled, so that the commit compares with it.
   *
   * @throws what kept the claim from being taken or refused, since then nothing is known.
   */
  isOurs: () => Promise<boolean>
}

type Claimed = { kind: 'ours' } | { kind: 'lost' } | { kind: 'failed'; error: unknown }

/** A job that runs longer than this is marked `running` under a claim, so that people see it; milliseconds. */
const longJobMs = 1_000

export const holdJob = (first: HeldJob, means: DeliverMeans): Hold => {
  let job = first
  let claiming: Promise<Claimed> = Promise.resolve({ kind: 'ours' })
  const lost = new AbortController()

  const claim = async (): Promise<Claimed> => {
    const token = randomUUID()
    try {
      if (await means.untilDone(() => claimJob(means.orm.em.fork(), job, token, means.worker))) {
        job = { ...job, claim: token }
        return { kind: 'ours' }
      }
      lost.abort(new WorkflowError('attempt_failed', 'another worker has taken the job over', { final: false }))
      return { kind: 'lost' }
    } catch (error) {
      lost.abort(error)
      return { kind: 'failed', error }
    }
  }

  const isOurs = async (): Promise<boolean> => {
    const claimed = await claiming
    if (claimed.kind === 'failed') throw claimed.error
    return claimed.kind === 'ours'
  }

  return {
    job: () => job,
    isOurs,
    take: () => {
      claiming = claim()
      return isOurs()
    },
    during: async (attempt) => {
      const long = setTimeout(() => {
        claiming = claim()
      }, longJobMs)
      const giveUp = () => lost.abort(means.stopped.reason)
      if (means.stopped.aborted) giveUp()
      // A listener that is taken away again: signals that are joined with one that outlives them are never freed.
      means.stopped.addEventListener('abort', giveUp)
      try {
        return await attempt(lost.signal)
      } finally {
        means.stopped.removeEventListener('abort', giveUp)
        clearTimeout(long)
      }
    },
  }
}
