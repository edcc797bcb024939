import { type FinishedJob, type JobOnBelt, movesCounters } from '../job/held-job.ts'
import { jobError } from '../job/job-error.ts'
import type { CommitEvent, Fate, GroupFate } from './commit-group.ts'
import type { LockWaits } from './lock-waits.ts'

type PatientMeans = {
  /** Writes the end of a job with others. */
  inGroup: (finished: FinishedJob) => Promise<GroupFate>
  locks: LockWaits
  /** How long an end waits for locks, with the time that its attempt took; milliseconds. */
  patienceMs: number
  /** How many ends of a function may wait for locks for so long; any more have little patience. */
  mostWaiting: number
  observe: (event: CommitEvent) => void
}

export type PatientCommit = {
  /** Writes the end of a job. */
  commit: (finished: FinishedJob) => Promise<Fate>
  /** Whether this job had better not begin: its run is held locked, and as many ends wait for locks as may. */
  isHeldBack: (job: Pick<JobOnBelt, 'runId' | 'functionName'>) => boolean
}

/** A long attempt leaves no less for its end, milliseconds. */
const leastPatienceMs = 60_000

/** So long does an end wait that takes a place which others of its function need, milliseconds; a short lock costs none. */
const crowdedPatienceMs = 5_000

/** So long is a job left alone that was put off for a lock, milliseconds: its place is for others. */
export const putOffMs = 10_000

export const heldLocked = 'somebody holds the job, or its run, locked'

/**
 * Writes ends of jobs, which wait for their locks outside of the groups: there they would have all others of their function
 * wait as well. Each keeps its delivery meanwhile, so what waits is bounded by those in hand. One that loses its patience gets
 * a new message, which needs none of its run's locks, and its result is given up; if its own row is what is locked then
 * its delivery goes back.
 */
export const createPatientCommit = ({
  inGroup,
  locks,
  patienceMs,
  mostWaiting,
  observe,
}: PatientMeans): PatientCommit => {
  const waiting = new Map<string, number>()
  const waitingOf = (functionName: string): number => waiting.get(functionName) ?? 0

  const untilFree = async (job: JobOnBelt, lock: string, leftMs: number): Promise<boolean> => {
    const { functionName } = job
    const isOneTooMany = waitingOf(functionName) >= mostWaiting
    waiting.set(functionName, waitingOf(functionName) + 1)
    try {
      return await locks.untilFree(job, lock, isOneTooMany ? Math.min(leftMs, crowdedPatienceMs) : leftMs)
    } finally {
      waiting.set(functionName, waitingOf(functionName) - 1)
    }
  }

  const putOff = async (finished: FinishedJob): Promise<Fate> => {
    const { attempt } = finished.job
    const error = jobError('snoozed', heldLocked)
    const fate = await inGroup({ ...finished, ending: { kind: 'requeued', attempt, delayMs: putOffMs, error } })
    if (fate.kind !== 'held up') return fate
    observe({ kind: 'commit.refused', jobs: 1, reason: heldLocked })
    return { kind: 'refused' }
  }

  return {
    commit: async (finished) => {
      const { job, ending, elapsedMs } = finished
      const leastMs = Math.min(leastPatienceMs, patienceMs)
      const untilMs = performance.now() + Math.max(leastMs, patienceMs - elapsedMs)
      // The next jobs of a run that is held would only have their group find that out anew.
      let fate: GroupFate =
        movesCounters(ending) && locks.isHeld(job.runId)
          ? { kind: 'held up', lock: job.runId }
          : await inGroup(finished)
      while (fate.kind === 'held up') {
        if (!(await untilFree(job, fate.lock, untilMs - performance.now()))) return putOff(finished)
        fate = await inGroup(finished)
      }
      return fate
    },
    isHeldBack: ({ runId, functionName }) => locks.isHeld(runId) && waitingOf(functionName) >= mostWaiting,
  }
}
