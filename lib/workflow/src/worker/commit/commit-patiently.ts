import { WorkflowError } from '../../errors.ts'
import { type Ending, type FinishedJob, type JobOnBelt, movesCounters } from '../../job/held-job.ts'
import { jobError } from '../../job/job-error.ts'
import type { Fate, GroupFate } from './commit-group.ts'
import type { JobWaits } from '../hold/job-waits.ts'

type PatientMeans = {
  /** Writes the end of a job with others. */
  inGroup: (finished: FinishedJob) => Promise<GroupFate>
  waits: Pick<JobWaits, 'isHeld' | 'untilFree' | 'isStopped'>
  /** How long a delivery may last whose end waits for locks, milliseconds. */
  patienceMs: number
}

/** So long is a job left alone that was put off for a lock, milliseconds: its place is for others. */
export const putOffMs = 10_000

export const heldLocked = 'somebody holds the job, or its run, locked'

/** What is thrown to somebody who waits for a lock no more. */
export const heldUp = () => new WorkflowError('held_up', heldLocked, { final: false })

/** @throws it, told, for a job whose own row could not be had: its delivery is put off. */
export const leaveHeld = ({ onHeld }: { onHeld: () => void }): never => {
  onHeld()
  throw heldUp()
}

const heldError = jobError('snoozed', heldLocked)

/** The end of a job that is put off for a lock: it burns no attempt. */
export const putOffForLock = ({ attempt }: Pick<JobOnBelt, 'attempt'>): Ending => ({
  kind: 'requeued',
  attempt,
  delayMs: putOffMs,
  error: heldError,
})

const isPutOff = (ending: Ending): boolean => ending.kind === 'requeued' && ending.error === heldError

/**
 * Writes ends of jobs, which wait for their locks outside of the groups: there they would have all others of their function
 * wait as well. One that loses its patience is tried once more; then it gets a new message, which needs none of its run's
 * locks, and its result is given up. Its own row nobody has for long but a stranger, so for that it is not tried again; nor
 * for anything when its worker is asked to stop, which has no time to spare.
 *
 * @throws WorkflowError `held_up` when that is what is locked: nothing is written of the job, and its delivery is put off.
 */
export const createPatientCommit =
  ({ inGroup, waits, patienceMs }: PatientMeans) =>
  async (finished: FinishedJob, receivedMs: number): Promise<Fate> => {
    const { job, ending } = finished

    const putOff = async (): Promise<Fate> => {
      const fate = await inGroup({ ...finished, ending: putOffForLock(job) })
      if (fate.kind === 'held up') throw heldUp()
      return fate
    }

    // The next jobs of a run that is held would only have their group find that out anew.
    const isKnown = movesCounters(ending) && waits.isHeld(job.runId)
    let fate: GroupFate = isKnown ? { kind: 'held up', lock: job.runId } : await inGroup(finished)
    let isPatient = true
    while (fate.kind === 'held up' && isPatient) {
      if (isPutOff(ending)) throw heldUp()
      isPatient = await waits.untilFree(job, fate.lock, receivedMs + patienceMs)
      if (!isPatient && fate.lock === job.id) throw heldUp()
      if (!isPatient && waits.isStopped()) break
      // Also when it is still held: where many commit one after the other, somebody has it at every look, and each his turn.
      fate = await inGroup(finished)
    }
    return fate.kind === 'held up' ? putOff() : fate
  }
