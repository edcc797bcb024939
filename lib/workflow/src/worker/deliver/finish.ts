import type { Ending, FinishedJob } from '../../job/held-job.ts'
import type { DeliverMeans } from './deliver.ts'
import { type DeliveryFacts, type DropReason, reasonToDrop } from './load.ts'

/**
 * How a delivery ended. Its job was written, or there was nothing to do for it: the message may be acked. Or the house
 * was at fault and nothing was written: it must come again.
 */
export type Delivered =
  | { kind: 'written'; ending: Ending }
  | { kind: 'dropped'; reason: DropReason }
  | { kind: 'refused' }

/** Writes the end of a job, and says what it means for the message. */
export const finish = async (
  finished: FinishedJob,
  delivery: DeliveryFacts,
  means: Pick<DeliverMeans, 'commit' | 'find'>,
): Promise<Delivered> => {
  const fate = await means.commit(finished, delivery.receivedMs)
  return fate.kind === 'lost' ? lostTo(delivery, means) : fate
}

/**
 * The compare-and-set found somebody else's writing. Either the job has moved on, or another delivery holds it under a
 * claim. That delivery is not ours and its message is not acked before the job is written, so ours is not needed; to
 * hand it back would make the two take the job from each other for as long as both run.
 */
export const lostTo = async (
  { reference }: Pick<DeliveryFacts, 'reference'>,
  means: Pick<DeliverMeans, 'find'>,
): Promise<Delivered> => {
  const found = await means.find(reference.jobId)
  const reason = reasonToDrop(found, reference.seq)
  if (reason !== null) return { kind: 'dropped', reason }
  if (found?.claim === null) throw new Error('a write was refused although nobody else holds the job')
  return { kind: 'dropped', reason: 'held by another' }
}
