import { reasonOf } from '@esteira/service'
import { noteSeen } from '../../probe/note-seen.ts'
import type { ProbeDelivery } from '../belt/delivery.ts'
import type { DeliverMeans } from './deliver.ts'

export type ProbeAnswerEvent = { kind: 'probe.unanswered'; queue: string; reason: string }

/** Says that a probe came out of a queue. It is acked when that is written; otherwise it comes again. */
export const answerProbe = async (
  queue: string,
  { probe, ack, handBack }: ProbeDelivery,
  { orm, untilDone }: Pick<DeliverMeans, 'orm' | 'untilDone'>,
  observe: (event: ProbeAnswerEvent) => void,
): Promise<void> => {
  try {
    await untilDone(() => noteSeen(orm.em.fork(), probe))
    ack()
  } catch (error) {
    handBack()
    observe({ kind: 'probe.unanswered', queue, reason: reasonOf(error) })
  }
}
