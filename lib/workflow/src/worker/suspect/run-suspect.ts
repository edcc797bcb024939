import type { SpanContext } from '@opentelemetry/api'
import { type StepFunction, timeoutOf } from '../../function/define-function.ts'
import type { HeldJob } from '../../job/held-job.ts'
import type { DeliverMeans } from '../deliver.ts'
import { type Delivered, finish, lostTo } from '../finish.ts'
import { holdJob } from '../hold.ts'
import type { DeliveryFacts, Taken } from '../load.ts'
import type { Suspects } from './suspects.ts'

/**
 * A message that came back so often is a suspect's. The first time may be anybody's: a broker that restarts, a worker that
 * is killed, hand back all that was in hand. A function that kills its process takes two workers with it.
 */
const suspectAfter = 2

/**
 * Where the job of a delivery is to be attempted apart, if it is a suspect; null otherwise. One that has given items, or
 * whose function can go on behind those, is attempted in place: pages are written from here, and it begins behind them.
 */
export const suspectsFor = (
  { isResumable }: Pick<StepFunction, 'isResumable'>,
  { emitted, accepted }: Pick<HeldJob, 'emitted' | 'accepted'>,
  { deliveries }: Pick<DeliveryFacts, 'deliveries'>,
  { suspects }: Pick<DeliverMeans, 'suspects'>,
): Suspects | null => {
  const isStream = isResumable || emitted > 0 || accepted !== null
  return deliveries >= suspectAfter && !isStream ? suspects : null
}

/**
 * Attempts a suspect in a process apart, and writes how that ended as for any other job. It is held and fenced from here:
 * what a process that died may still have written is found by the compare-and-set.
 */
export const runSuspect = async (
  fn: StepFunction,
  { job, isTakeover }: Taken & { kind: 'run' },
  delivery: DeliveryFacts,
  means: DeliverMeans,
  suspects: Suspects,
  place: SpanContext,
): Promise<Delivered> => {
  const isOwn = fn.unit === 'own'
  const timeoutMs = timeoutOf(fn, job.step)
  const hold = holdJob(job, means, { looksOnly: isOwn })
  if (isTakeover && !isOwn && !(await hold.take())) return lostTo(delivery, means)
  const answer = await hold.during((lost) => suspects.attempt({ job: hold.job(), place, timeoutMs }, lost))
  switch (answer.kind) {
    case 'lost':
      return lostTo(delivery, means)
    case 'written':
      return { kind: 'written', ending: answer.ending }
    case 'ended': {
      const { ending, elapsedMs } = answer
      if (isOwn) {
        // Only that it died: everything else is written in the process apart.
        const fate = await means.ownUnits({ job, place }, timeoutMs, async () => ({ ending, runsOn: false }))
        return fate.kind === 'lost' ? lostTo(delivery, means) : fate
      }
      if (!(await hold.isOurs())) return lostTo(delivery, means)
      return finish({ job: hold.job(), ending, elapsedMs, place }, delivery, means)
    }
  }
}
