import { randomUUID } from 'node:crypto'
import { WorkflowError } from '../../errors.ts'
import type { HeldJob } from '../../job/held-job.ts'
import type { DeliverMeans } from '../deliver/deliver.ts'
import { hearAbort } from '../attempt/hear-abort.ts'
import type { DeliveryFacts } from '../deliver/load.ts'

/** The hold on a job: its claim is what its writes are compared with, and losing it aborts the attempt. */
export type Hold = {
  /** The job with the newest claim, and as it stood when that was taken. */
  job: () => HeldJob
  /**
   * Takes the job over, so that whoever had it before cannot write it any more; false when somebody was first. `from` is the
   * claim that it is to be taken from, where that is not the one that it was found with.
   */
  take: (from?: string | null) => Promise<boolean>
  /** Takes it under another claim than it has: what was hidden under that one is garbage then. */
  renew: () => Promise<boolean>
  /**
   * Runs an attempt, with beats for it when it is long: those mark the job `running` under a claim. `lost` is aborted
   * when the job is ours no more, and when its run is cancelled.
   */
  during: <T>(attempt: (lost: AbortSignal) => Promise<T>) => Promise<T>
  /** Keeps in mind what a page has changed of the job. */
  changed: (by: Partial<Pick<HeldJob, 'emitted' | 'attempt' | 'cursor' | 'accepted'>>) => void
  /** Gives the job up: a write of ours found that it is another's, or over. Aborts the attempt. */
  lose: () => void
  /**
   * Whether the job is still ours, so that the commit compares with the claim that it has.
   *
   * @throws what kept a claim from being taken or refused, since then nothing is known.
   */
  isOurs: () => Promise<boolean>
}

/**
 * `receivedMs` is when the job came, from which on its claims wait for locks. With `looksOnly` beats never mark the job,
 * which its own transaction holds; they only hear whether it is cancelled.
 */
export const holdJob = (
  first: HeldJob,
  means: Pick<DeliverMeans, 'claim' | 'beats' | 'stopped'>,
  { receivedMs }: Pick<DeliveryFacts, 'receivedMs'>,
  { looksOnly = false }: { looksOnly?: boolean } = {},
): Hold => {
  let token = randomUUID()
  let hasBegun = false
  const lost = new AbortController()
  let job = first
  // `unsure` after a beat that was not answered: the job has our claim, or not yet.
  let standing: 'ours' | 'unsure' | 'lost' = 'ours'

  const claimed = (): void => {
    job = { ...job, claim: token }
    standing = 'ours'
  }

  const claim = async (from: string | null = job.claim): Promise<boolean> => {
    const sinceMs = hasBegun ? receivedMs : null
    const taken = await means.claim({ job: { ...job, claim: from }, next: token, sinceMs })
    if (taken === undefined) {
      standing = 'lost'
      return false
    }
    job = { ...job, ...taken }
    claimed()
    return true
  }

  return {
    job: () => job,
    take: claim,
    renew: () => {
      token = randomUUID()
      return claim()
    },
    changed: (by) => {
      job = { ...job, ...by }
    },
    lose: () => {
      standing = 'lost'
      lost.abort(takenOver())
    },
    isOurs: async () => (standing === 'unsure' ? claim() : standing === 'ours'),
    during: async (attempt) => {
      hasBegun = true
      let asked = token
      const endBeats = means.beats.add({
        beat: () => {
          asked = token
          return { id: job.id, runId: job.runId, seq: job.seq, claim: job.claim, next: looksOnly ? null : token }
        },
        answered: ({ isOurs, isClaimed, isCancelled }) => {
          // The claim was renewed meanwhile: of that one the beat knows nothing.
          if (asked !== token) return
          if (isClaimed) claimed()
          if (!isOurs) standing = 'lost'
          if (isCancelled) lost.abort(new WorkflowError('cancelled', 'the job, or its run, was cancelled'))
          else if (!isOurs) lost.abort(takenOver())
        },
        unanswered: () => {
          if (standing === 'ours' && job.claim !== token && !looksOnly) standing = 'unsure'
        },
      })
      const giveUp = () => lost.abort(means.stopped.reason)
      // Ended again: signals that are joined with one that outlives them are never freed.
      const endHearing = hearAbort(means.stopped, giveUp)
      try {
        return await attempt(lost.signal)
      } finally {
        endHearing()
        await endBeats()
      }
    },
  }
}

export const takenOver = (): WorkflowError =>
  new WorkflowError('attempt_failed', 'another worker has taken the job over', { final: false })

/** Whatever the function makes of its signal, an attempt that was cut short by a cancel did not fail. */
export const isCancel = ({ aborted, reason }: AbortSignal): boolean =>
  aborted && reason instanceof WorkflowError && reason.code === 'cancelled'
