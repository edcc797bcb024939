import { isLockedOut } from '../database/is-transient.ts'
import type { Claim, TakenJob } from '../job/claim-jobs.ts'
import type { JobOnBelt } from '../job/held-job.ts'
import type { Lockable } from '../job/unit/locked-among.ts'
import { heldUp } from './commit-patiently.ts'
import type { LockWaits } from './lock-waits.ts'

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

type PatientMeans = {
  /** Claims a job with others; undefined when somebody was first. */
  inGroup: (claim: ClaimOnBelt) => Promise<Claimed | undefined>
  locks: Pick<LockWaits, 'isHeld' | 'untilFree'>
  /** Hears of each that is about to wait. */
  onHeld: () => void
}

/**
 * Claims a job, for which locks are waited for outside of the groups, as with ends of jobs. It waits for as long as it takes.
 *
 * @throws WorkflowError `held_up` when that is waited for no more: nothing is written of the job. Within an attempt it is put
 * off, as with pages; before one and behind it its delivery goes back.
 */
export const createPatientClaim =
  ({ inGroup, locks, onHeld }: PatientMeans) =>
  async (claim: ClaimOnBelt): Promise<TakenJob | undefined> => {
    const { job } = claim
    for (;;) {
      // The next claims of one that is held would only have their group find that out anew.
      const claimed = locks.isHeld(job.id) ? 'held' : await inGroup(claim)
      if (claimed !== 'held') return claimed
      onHeld()
      if (!(await locks.untilFree(job, job.id))) throw heldUp()
    }
  }
