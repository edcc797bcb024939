import type { StepFunction } from '../../function/define-function.ts'
import type { FoundJob } from '../../job/find-jobs.ts'
import type { Ending, HeldJob, JobOnBelt, StepOfRun } from '../../job/held-job.ts'
import { jobError } from '../../job/job-error.ts'
import { isOver } from '../../job/transitions.ts'
import type { Delivery } from '../belt/delivery.ts'
import type { DeliverMeans } from './deliver.ts'

/** Why there is nothing to do for a message: its job has moved on, or another message answers for it. */
export type DropReason =
  | 'unknown job'
  | 'job is over'
  | 'older message'
  | 'job is not on the belt'
  | 'queue of another function'
  | 'held by another'
  | 'job is held locked'

/** What a delivery asks for: nothing, a job's end without an attempt, or an attempt, perhaps at a job others had. */
export type Taken =
  | { kind: 'drop'; reason: DropReason }
  | { kind: 'end'; job: JobOnBelt; ending: Ending }
  | { kind: 'run'; job: HeldJob; isTakeover: boolean }

export type DeliveryFacts = Pick<Delivery, 'reference' | 'redelivered' | 'deliveries' | 'putOffs' | 'receivedMs'>

/** What of a delivery tells what is to be done. */
type Read = Pick<DeliveryFacts, 'reference' | 'redelivered' | 'deliveries'>

/** Reads the job behind a delivery, and says what is to be done. */
export const load = async (fn: StepFunction, delivery: Read, means: DeliverMeans): Promise<Taken> => {
  const found = await means.find(delivery.reference.jobId)
  return readDelivery(found, found && (await means.stepOf(found)), delivery, fn)
}

/** `step` is undefined when the version of the job's run does not have it. */
export const readDelivery = (
  found: FoundJob | undefined,
  step: StepOfRun | undefined,
  delivery: Read,
  fn: StepFunction,
): Taken => {
  const reason = reasonToDrop(found, delivery.reference.seq)
  if (found === undefined || reason !== null) return { kind: 'drop', reason: reason ?? 'unknown job' }
  const job = { ...onBelt(found), functionName: fn.name }
  // Whoever put it here, its own queue has the message that counts.
  if (step !== undefined && step.functionName !== fn.name) return { kind: 'drop', reason: 'queue of another function' }
  if (found.runStatus === 'cancelling') return { kind: 'end', job, ending: { kind: 'cancelled' } }
  if (step === undefined) {
    const message = `version ${found.version} of workflow ${found.workflowId} has no step ${found.stepId}`
    return { kind: 'end', job, ending: { kind: 'failed', error: jobError('step_unknown', message) } }
  }
  const { revision, payload, cursor, accepted } = found
  return {
    kind: 'run',
    job: { ...job, revision, payload: payload ?? null, cursor: cursor ?? null, accepted, step },
    // Whoever had the message, or the job, before may still be at work.
    isTakeover: delivery.redelivered || found.status === 'running',
  }
}

/** Why a message is none for the job as it stands; null when it is the job's valid one. */
export const reasonToDrop = (found: FoundJob | undefined, seq: number): DropReason | null => {
  if (found === undefined) return 'unknown job'
  if (isOver(found.status)) return 'job is over'
  if (found.seq !== seq) return 'older message'
  // It gets a message when it is released.
  if (found.status === 'hidden' || found.status === 'staged') return 'job is not on the belt'
  return null
}

const onBelt = ({ id, runId, stepId, seq, claim, attempt, emitted, traceparent }: FoundJob) => ({
  id,
  runId,
  stepId,
  seq,
  claim,
  attempt,
  emitted,
  traceparent,
})
