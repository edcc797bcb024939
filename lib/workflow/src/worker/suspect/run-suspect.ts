import type { SpanContext } from '@opentelemetry/api'
import { type StepFunction, timeoutOf } from '../../function/define-function.ts'
import type { HeldJob } from '../../job/held-job.ts'
import { nextTryOf } from '../../job/next-try.ts'
import type { DeliverMeans } from '../deliver/deliver.ts'
import { type Delivered, finish, lostTo } from '../deliver/finish.ts'
import { leaveHeld } from '../commit/commit-patiently.ts'
import { holdJob } from '../hold/hold.ts'
import type { DeliveryFacts, Taken } from '../deliver/load.ts'
import { pagesOf } from '../stream/held-pages.ts'
import { takeOver } from '../deliver/take-over.ts'
import type { Outcome } from './case.ts'
import type { Suspects } from './suspects.ts'

/**
 * A message that came back so often is a suspect's. The first time may be anybody's: a broker that restarts, a worker that
 * is killed, hand back all that was in hand. A function that kills its process takes two workers with it.
 */
const suspectAfter = 2

/**
 * Where the job of a delivery is to be attempted apart, if it is a suspect; null otherwise. One whose function is done has
 * only its items accepted, and no function is called for that.
 */
export const suspectsFor = (
  { accepted }: Pick<HeldJob, 'accepted'>,
  { deliveries }: Pick<DeliveryFacts, 'deliveries'>,
  { suspects }: Pick<DeliverMeans, 'suspects'>,
): Suspects | null => (deliveries >= suspectAfter && accepted === null ? suspects : null)

type SuspectMeans = Pick<
  DeliverMeans,
  'claim' | 'beats' | 'stopped' | 'find' | 'commit' | 'onHeld' | 'pages' | 'pageItems' | 'continueMs' | 'random'
>

/**
 * Attempts a suspect in a process apart, and writes how that ended as for any other job. It is held and fenced from here,
 * and its pages are written from here as they come: so what of it is there when its process has died is never in doubt.
 */
export const runSuspect = async (
  fn: StepFunction,
  { job, isTakeover }: Taken & { kind: 'run' },
  delivery: DeliveryFacts,
  means: SuspectMeans,
  suspects: Pick<Suspects, 'attempt'>,
  place: SpanContext,
): Promise<Delivered> => {
  const isOwn = fn.unit === 'own'
  const timeoutMs = timeoutOf(fn, job.step)
  const hold = holdJob(job, means, delivery, { looksOnly: isOwn })
  if (isTakeover && !isOwn && !(await takeOver(hold, delivery, means))) return lostTo(delivery, means)
  const pages = isOwn ? undefined : pagesOf(fn, hold, means, place)
  const { pageItems, continueMs } = means
  const stream = pages === undefined ? null : { pageItems, continueMs }
  const answer = await hold.during(async (lost): Promise<Outcome> => {
    // All of its items were there by the time it was taken over: no function is called for what is left.
    if (pages?.isSealed()) return { kind: 'ended', ending: await pages.accept(lost), elapsedMs: 0 }
    const suspect = { job: hold.job(), place, timeoutMs, stream }
    const answered = await suspects.attempt(suspect, lost, pages ?? null, delivery.receivedMs)
    // The last that it gave may still be on its way into the tables.
    await pages?.idle()
    if (answered.kind !== 'ended' || !pages?.isSealed() || answered.ending.kind === 'cancelled') return answered
    return { ...answered, ending: await pages.accept(lost) }
  })
  // A run that is being cancelled needs no page any more.
  const isOver = pages?.isHeldUp() === true && answer.kind === 'ended' && answer.ending.kind === 'cancelled'
  if (!isOver) pages?.throwFault()
  switch (answer.kind) {
    case 'lost':
      return lostTo(delivery, means)
    case 'held':
      return leaveHeld(means)
    case 'written':
      return { kind: 'written', ending: answer.ending }
    case 'ended': {
      const { ending, elapsedMs } = answer
      if (!(await hold.isOurs())) return lostTo(delivery, means)
      const nextTry = nextTryOf(hold.job(), fn, means.random)
      return finish({ job: hold.job(), ending, elapsedMs, place, nextTry }, delivery, means)
    }
  }
}
