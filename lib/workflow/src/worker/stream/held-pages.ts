import type { SpanContext } from '@opentelemetry/api'
import { WorkflowError } from '../../errors.ts'
import type { StepFunction } from '../../function/define-function.ts'
import { keysOf } from '../../function/item-key.ts'
import type { Ending, HeldJob } from '../../job/held-job.ts'
import type { NextStep } from '../../payload/place-result.ts'
import type { Accepted } from '../../job/pages/accept-page.ts'
import type { PageFate, PageOfJob } from '../../job/pages/page-of-job.ts'
import { blameFor } from '../commit/blame.ts'
import { reasonOfCut, reasonToReject } from '../commit/commit-group.ts'
import { putOffForLock } from '../commit/commit-patiently.ts'
import type { DeliverMeans } from '../deliver/deliver.ts'
import { type Hold, isCancel, takenOver } from '../hold/hold.ts'
import type { BufferedPage } from './page-buffer.ts'
import { acceptsOn, allGiven, type Pages } from './pages.ts'

/** The pages of a job that is held here. */
export type HeldPages = Pages & {
  /** Resolves when nothing of them is being written any more. */
  idle: () => Promise<void>
  /**
   * Where another attempt goes on, since the one before has ended without a word: behind the pages that have a cursor; from
   * nothing without, as what was given then stays hidden under a claim that is no more. Null when all pages are there.
   */
  again: () => Promise<HeldJob | null>
  /** Accepts pages that were hidden, as many as this delivery has time for; gives how the job ends or goes on. */
  accept: (lost: AbortSignal) => Promise<Ending>
  /** Whether a page waited for somebody's locks for too long: its job is to be put off, whatever its function made of that. */
  isHeldUp: () => boolean
  /** @throws what kept a page from being written, when no function is to blame for it. */
  throwFault: () => void
}

type HeldPagesOptions = {
  hold: Hold
  next: NextStep
  /** Whether its function can go on behind a page. */
  isResumable: boolean
  /** The member that tells its items apart; null when all of them go on. */
  itemKey: string | null
  means: PagesMeans
  place: SpanContext
}

/** So long a delivery accepts pages though its function took long, milliseconds: a new one waits behind all others. */
const leastAcceptingMs = 60_000

type PagesMeans = Pick<DeliverMeans, 'pages' | 'continueMs'>

/**
 * Each page is a unit of work of its own, under a claim that the job gets before the first: with a cursor its children
 * are there at once, and the next attempt begins behind them; without, they are hidden until the function is done.
 */
const holdPages = ({ hold, next, isResumable, itemKey, means, place }: HeldPagesOptions): HeldPages => {
  const { pages: writes, continueMs } = means
  const openedMs = performance.now()
  let isSealed = hold.job().accepted !== null
  let isClaimed = false
  let hidden = 0
  let fault: { error: unknown } | null = null
  let writing: Promise<unknown> = Promise.resolve()

  /** One write after the other: each compares with what the one before has left. */
  const inTurn = (write: () => Promise<void>): Promise<void> => {
    const written = writing.then(write)
    writing = written.catch(() => {})
    return written
  }

  const notingHeldUp = async <T>(write: Promise<T>): Promise<T> => {
    try {
      return await write
    } catch (error) {
      if (blameFor(error) === 'held up') fault = { error }
      throw error
    }
  }

  const orLost = async (write: PageFate | Promise<PageFate>): Promise<void> => {
    if ((await write) === 'written') return
    hold.lose()
    throw takenOver()
  }

  /** A page is nothing that its function knows: an item has its key, or else its number among all that were given. */
  const nameOf = (index: number, { job, keys }: PageOfJob): string => {
    const key = keys?.[index]
    if (key !== undefined) return `the item whose ${itemKey} is ${JSON.stringify(key.slice(0, mostOfKey))}`
    return `item ${(isResumable ? job.emitted : hidden) + index + 1}`
  }

  /** What keeps the claim from being taken or refused is not the function's, nor what it is called with. */
  const takeFirst = async (): Promise<void> => {
    try {
      isClaimed = await hold.take()
    } catch (error) {
      fault = { error }
      throw error
    }
    await orLost(isClaimed ? 'written' : 'lost')
  }

  const writePage = async ({ items, cursor }: BufferedPage): Promise<void> => {
    if (!isClaimed) await takeFirst()
    const keys = itemKey === null ? null : keysOf(items, itemKey)
    const page: PageOfJob = { job: hold.job(), items, next, place, keys }
    try {
      if (isResumable) await writeResumable(page, cursor)
      else await orLost(writes.hide(page, hidden, openedMs))
    } catch (error) {
      if (error instanceof WorkflowError && error.code !== 'output_rejected') throw error
      const blame = blameFor(error)
      if (blame === 'job') throw rejection(page, error, (index) => nameOf(index, page))
      if (blame === 'cut short')
        throw new WorkflowError('write_cut_short', reasonOfCut(error), { cause: error, final: false })
      fault = { error }
      throw error
    }
    if (!isResumable) hidden += items.length
  }

  const writeResumable = async (page: PageOfJob, cursor: unknown): Promise<void> => {
    const written = await writes.write(page, cursor, openedMs)
    await orLost(written.fate)
    if (written.fate !== 'written') return
    hold.changed({ emitted: written.emitted, cursor, attempt: written.attempt })
  }

  const acceptNext = async (job: HeldJob): Promise<Accepted | { kind: 'held up' }> => {
    try {
      return await writes.accept(job, openedMs)
    } catch (error) {
      if (blameFor(error) === 'held up') return { kind: 'held up' }
      throw error
    }
  }

  const throwFault = (): void => {
    if (fault !== null) throw fault.error
  }

  return {
    job: hold.job,
    next,
    write: (page) => inTurn(() => notingHeldUp(writePage(page))),
    seal: () =>
      inTurn(async () => {
        const job = hold.job()
        await notingHeldUp(orLost(writes.seal(job, openedMs)))
        hold.changed({ accepted: job.claim })
        isSealed = true
      }),
    isSealed: () => isSealed,
    idle: async () => {
      await writing
    },
    again: async () => {
      await writing
      throwFault()
      if (isSealed) return null
      if (hidden > 0) await orLost(fateOf(hold.renew()))
      hidden = 0
      return hold.job()
    },
    accept: async (lost) => {
      const untilMs = Math.max(openedMs + continueMs, performance.now() + Math.min(continueMs, leastAcceptingMs))
      for (;;) {
        if (isCancel(lost)) return { kind: 'cancelled' }
        const job = hold.job()
        const accepted = lost.aborted ? ({ kind: 'lost' } as const) : await acceptNext(job)
        if (accepted.kind === 'held up') return putOffForLock(job)
        if (accepted.kind === 'lost') hold.lose()
        if (accepted.kind !== 'accepted') return allGiven(next)
        hold.changed({ emitted: job.emitted + accepted.children })
        // Some millions take longer than RabbitMQ leaves a delivery here, and their function had its time of that.
        if (performance.now() >= untilMs) return acceptsOn(next)
      }
    },
    isHeldUp: () => fault !== null && blameFor(fault.error) === 'held up',
    throwFault,
  }
}

/** The pages of a step that has one job for each item; undefined for any other. */
export const pagesOf = (
  { isResumable, itemKey }: Pick<StepFunction, 'isResumable' | 'itemKey'>,
  hold: Hold,
  means: PagesMeans,
  place: SpanContext,
): HeldPages | undefined => {
  const { outputType, next } = hold.job().step
  if (outputType !== 'multiple' || next === null) return undefined
  return holdPages({ hold, next, isResumable, itemKey, means, place })
}

const fateOf = async (taken: Promise<boolean>): Promise<PageFate> => ((await taken) ? 'written' : 'lost')

/** More of a key is no name, characters. */
const mostOfKey = 100

const rejection = (
  { job, items, next }: PageOfJob,
  error: unknown,
  nameOf: (index: number) => string,
): WorkflowError => {
  const finished = { job, ending: { kind: 'succeeded', placed: { kind: 'items', items, next } }, elapsedMs: 0 } as const
  return new WorkflowError('output_rejected', reasonToReject(finished, error, nameOf), { cause: error })
}
