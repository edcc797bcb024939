import type { Traced } from './process-span.ts'
import type { Delivery } from '../belt/delivery.ts'
import type { Delivered } from './finish.ts'
import type { WorkerEvent, WorkerOptions } from '../worker-options.ts'

type CarryMeans = Pick<WorkerOptions, 'observe'> & {
  functionName: string
  /** Carries it to its end; `onKept` hears when the place of a function that runs on will be free. */
  deliver: (onKept: (free: Promise<void>) => void) => Promise<Delivered & Traced>
}

/**
 * Has a delivery carried to its end, and answers its message. While a function of it still runs here that keeps its
 * message, whatever became of the job: until the answer the broker sends no other in its place.
 */
export const carry = async (
  { reference: { jobId }, ack, handBack }: Pick<Delivery, 'reference' | 'ack' | 'handBack'>,
  { functionName, deliver, observe }: CarryMeans,
): Promise<void> => {
  const kept: Promise<void>[] = []
  try {
    const delivered = await deliver((free) => kept.push(free))
    if (delivered.kind !== 'refused') observe(eventOf(functionName, jobId, delivered))
    await Promise.all(kept)
    if (delivered.kind !== 'refused') return ack()
    handBack()
    observe({ kind: 'delivery.refused', functionName, jobId })
  } catch (error) {
    await Promise.all(kept)
    // Nothing was written, so the message must come again: to us, or to whoever is there after us.
    handBack()
    observe({ kind: 'delivery.handed-back', functionName, jobId, error })
  }
}

const eventOf = (
  functionName: string,
  jobId: string,
  delivered: Exclude<Delivered, { kind: 'refused' }> & Traced,
): WorkerEvent => {
  const of = { functionName, jobId, ...(delivered.place && { place: delivered.place }) }
  if (delivered.kind === 'dropped') return { kind: 'delivery.dropped', ...of, reason: delivered.reason }
  const { ending } = delivered
  return 'error' in ending
    ? { kind: 'job.written', ...of, ending: ending.kind, error: ending.error }
    : { kind: 'job.written', ...of, ending: ending.kind }
}
