import { isLockedOut } from '../../database/is-transient.ts'
import type { Claim, TakenJob } from '../../job/claim-jobs.ts'
import type { JobOnBelt } from '../../job/held-job.ts'
import type { Lockable } from '../../job/unit/locked-among.ts'
import { heldUp } from '../commit/commit-patiently.ts'
import type { JobWaits } from './job-waits.ts'

export type ClaimOnBelt = Claim & { job: JobOnBelt }

/** What a claim comes to; `held` where somebody has the row of the job locked, so that nothing is known of it. */
type Claimed = TakenJob | 'held'

/**
 * Claims jobs together but those that somebody holds locked: when the wait for one of them is given up, all that are
 * held are passed over, and the others are asked for without them.
 */
export const claimFree =
  (
    claim: (claims: readonly ClaimOnBelt[]) => Promise<ReadonlyMap<ClaimOnBelt, TakenJob>>,
    lockedAmong: (jobs: readonly Lockable[]) => Promise<ReadonlySet<string>>,
  ) =>
  async (claims: readonly ClaimOnBelt[]): Promise<ReadonlyMap<ClaimOnBelt, Claimed>> => {
    const claimed = new Map<ClaimOnBelt, Claimed>()
    let free = claims
    while (free.length > 0) {
      try {
        for (const [one, taken] of await claim(free)) claimed.set(one, taken)
        break
      } catch (error) {
        if (!isLockedOut(error)) throw error
        const locked = await lockedAmong(free.map(({ job }) => job))
        const held = free.filter(({ job }) => locked.has(job.id))
        // It was the lock of a table, or it has just been released.
        if (held.length === 0) throw error
        for (const one of held) claimed.set(one, 'held')
        free = free.filter(({ job }) => !locked.has(job.id))
      }
    }
    return claimed
  }

/** `sinceMs`: when the delivery came to whose attempt it belongs, by `performance.now()`; null before that has begun. */
export type PatientClaim = ClaimOnBelt & { sinceMs: number | null }

type PatientMeans = {
  /** Claims a job with others; undefined when somebody was first. */
  inGroup: (claim: ClaimOnBelt) => Promise<Claimed | undefined>
  waits: Pick<JobWaits, 'isHeld' | 'untilFree'>
  /** How long a delivery may last within whose attempt a claim waits for a lock, milliseconds. */
  patienceMs: number
  /** Hears of each that is about to wait. */
  onHeld: () => void
}

/** Before an attempt nothing is lost by putting that off, so no more time is waited than a short lock takes, milliseconds. */
const beforeAttemptMs = 5_000

/**
 * Claims a job, for which locks are waited for outside of the groups, as with ends of jobs.
 *
 * @throws WorkflowError `held_up` when that takes too long: nothing is written of the job, and its delivery is put off.
 */
export const createPatientClaim =
  ({ inGroup, waits, patienceMs, onHeld }: PatientMeans) =>
  async (claim: PatientClaim): Promise<TakenJob | undefined> => {
    const { job, sinceMs } = claim
    const untilMs = sinceMs === null ? performance.now() + beforeAttemptMs : sinceMs + patienceMs
    for (;;) {
      // The next claims of one that is held would only have their group find that out anew.
      const claimed = waits.isHeld(job.id) ? 'held' : await inGroup(claim)
      if (claimed !== 'held') return claimed
      onHeld()
      if (!(await waits.untilFree(job, job.id, untilMs))) throw heldUp()
    }
  }
