import type { JobOnBelt } from '../../job/held-job.ts'
import type { LockWaits } from './lock-waits.ts'
import type { PageMemory } from '../stream/page-memory.ts'

type JobWaitsOptions = {
  locks: Pick<LockWaits, 'isHeld' | 'untilFree' | 'isStopped'>
  /** How many jobs of a function may wait for locks for as long as their patience; any more have little. */
  mostWaiting: number
  /** Of what streams have in memory while they wait, which likewise is to be no more than half. */
  memory: Pick<PageMemory, 'holdUp' | 'isCrowded'>
}

/** Waits of jobs for what somebody holds locked: themselves, or their runs. */
export type JobWaits = {
  /** Whether this job, or run, was locked when it was last looked at. */
  isHeld: LockWaits['isHeld']
  /**
   * Resolves to true when this, the job or its run, is locked no more, and to false when that takes too long: until then,
   * by `performance.now()`, or for as long as one has who takes a place, or memory, that others need.
   */
  untilFree: (job: JobOnBelt, lock: string, untilMs: number) => Promise<boolean>
  /** Whether nothing is waited for any more, since the worker is asked to stop. */
  isStopped: LockWaits['isStopped']
  /** Whether a delivery of this job had better be put off: its run is held locked, and as many wait for locks as may. */
  isHeldBack: (job: Pick<JobOnBelt, 'runId' | 'functionName'>) => boolean
}

/** So long does a job wait that takes what others need, milliseconds; a short lock costs none. */
const crowdedPatienceMs = 5_000

/**
 * Each that waits keeps its delivery, and a stream what it has in memory. So what waits is bounded by what there may be of
 * these; and by half of it, so that others go on.
 */
export const createJobWaits = ({ locks, mostWaiting, memory }: JobWaitsOptions): JobWaits => {
  const waiting = new Map<string, number>()
  const waitingOf = (functionName: string): number => waiting.get(functionName) ?? 0

  return {
    isHeld: locks.isHeld,
    isStopped: locks.isStopped,
    untilFree: async (job, lock, untilMs) => {
      const { functionName } = job
      const leftMs = untilMs - performance.now()
      const isCrowded = memory.isCrowded()
      const goOn = memory.holdUp(job.id)
      const isOneTooMany = waitingOf(functionName) >= mostWaiting || (isCrowded && goOn !== null)
      waiting.set(functionName, waitingOf(functionName) + 1)
      try {
        return await locks.untilFree(job, lock, isOneTooMany ? Math.min(leftMs, crowdedPatienceMs) : leftMs)
      } finally {
        waiting.set(functionName, waitingOf(functionName) - 1)
        goOn?.()
      }
    },
    isHeldBack: ({ runId, functionName }) =>
      locks.isHeld(runId) && (waitingOf(functionName) >= mostWaiting || memory.isCrowded()),
  }
}
