import type { DeliverMeans } from './deliver.ts'
import type { Hold } from '../hold/hold.ts'
import { type DeliveryFacts, reasonToDrop } from './load.ts'

/**
 * Takes a job over for a delivery; false when there is nothing to take any more, or when another message answers for the
 * job. One that came again does not know that: whoever has marked the job since it was found may have done so by the very
 * message that has come here, and be dead by now. So it asks under whichever claim the job has, until it has the job, or
 * the job has moved on. Each delivery takes a job once, and whoever loses it by that acks, so no two take it in turns.
 */
export const takeOver = async (
  hold: Pick<Hold, 'take'>,
  { reference, redelivered }: Pick<DeliveryFacts, 'reference' | 'redelivered'>,
  { find }: Pick<DeliverMeans, 'find'>,
): Promise<boolean> => {
  if (await hold.take()) return true
  if (!redelivered) return false
  for (;;) {
    const found = await find(reference.jobId)
    if (found === undefined || reasonToDrop(found, reference.seq) !== null) return false
    if (await hold.take(found.claim)) return true
  }
}
