import type { SpanContext } from '@opentelemetry/api'
import { WorkflowError } from '../../errors.ts'
import type { OpenSink } from '../../function/item-sink.ts'
import type { Ending, HeldJob, NextStep } from '../../job/held-job.ts'
import type { PageFate, PageOfJob } from '../../job/pages/page-of-job.ts'
import { blameFor } from '../blame.ts'
import { reasonToReject } from '../commit-group.ts'
import { type Hold, isCancel, takenOver } from '../hold.ts'
import { type BufferedPage, createPageBuffer, type PageLimits } from './page-buffer.ts'
import type { PageWrites } from './page-writes.ts'

/** What the items of a job go through that are given one after the other. */
export type JobStream = {
  /** Opens what takes the items of the attempt. */
  openSink: OpenSink
  /** Aborted when the job is to go on in a new delivery. */
  continues: AbortSignal
  /** How the job goes on then. */
  continuation: () => Promise<Ending>
  /** The attempt ended otherwise than with success: what came with a cursor is kept, and nothing more is taken. */
  keep: () => Promise<void>
  /** The job as its pages have left it. */
  job: () => HeldJob
  /** Whether all items are written, and only have to be accepted. */
  isSealed: () => boolean
  /** How the job ends with them. */
  allGiven: Ending
  /** Accepts them; gives how the job ends. */
  accept: (lost: AbortSignal) => Promise<Ending>
  /** @throws what kept a page from being written, when no function is to blame for it. */
  throwFault: () => void
}

type JobStreamOptions = {
  hold: Hold
  next: NextStep
  /** Whether its function can go on behind a page. */
  isResumable: boolean
  writes: PageWrites
  limits: PageLimits
  /** A page that has a cursor is written when it is so old, milliseconds, full or not. */
  ageMs: number
  /** The job goes on in a new delivery when this one has lasted so long, milliseconds. */
  continueMs: number
  place: SpanContext
}

/**
 * Takes the items of a job as its function gives them. Those that end within the first page are left for the unit of work
 * that writes the job's end. Else each page is a unit of work of its own, under a claim that the job gets before the
 * first: with a cursor its children are there at once, and the next attempt begins behind them; without, they are hidden
 * until the function is done. While one page is written the next one is gathered, and no more: so memory is bounded.
 */
export const openJobStream = (options: JobStreamOptions): JobStream => {
  const { hold, next, isResumable, writes, limits, ageMs, continueMs, place } = options
  const buffer = createPageBuffer(hold.job().step.name, limits)
  const continues = new AbortController()
  const allGiven: Ending = { kind: 'succeeded', placed: { kind: 'items', items: [], next } }
  const openedMs = performance.now()
  let check: Parameters<OpenSink>[0] = passAll
  let isClosed = false
  let isSealed = hold.job().accepted !== null
  let hasWritten = false
  let hidden = 0
  let pending = 0
  let writing: Promise<void> = Promise.resolve()
  let failure: { error: unknown } | null = null
  let fault: { error: unknown } | null = null
  let timer: NodeJS.Timeout | undefined

  /** One write after the other: each compares with what the one before has left. */
  const then = (write: () => Promise<void>): void => {
    const before = writing
    pending += 1
    writing = (async () => {
      await before
      try {
        await write()
      } catch (error) {
        failure ??= { error }
      }
      pending -= 1
    })()
  }

  /** Waits for all writes so far. */
  const written = async (upTo = writing): Promise<void> => {
    await upTo
    if (failure !== null) throw failure.error
  }

  const orLost = async (write: Promise<PageFate>): Promise<void> => {
    if ((await write) === 'written') return
    hold.lose()
    throw takenOver()
  }

  const writePage = async ({ items, cursor }: BufferedPage): Promise<void> => {
    if (failure !== null) return
    if (items.length > 0) check(items)
    if (!hasWritten) await orLost(hold.take().then((isTaken) => (isTaken ? 'written' : 'lost')))
    hasWritten = true
    const job = hold.job()
    const page: PageOfJob = { job, items, next, place }
    try {
      await orLost(isResumable ? writes.write(page, cursor) : writes.hide(page, hidden))
    } catch (error) {
      if (error instanceof WorkflowError && error.code !== 'output_rejected') throw error
      if (blameFor(error) === 'job') throw rejection(page, error)
      fault = { error }
      throw error
    }
    if (isResumable) hold.changed({ emitted: job.emitted + items.length, attempt: 0 })
    else hidden += items.length
  }

  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    const page = buffer.flush()
    then(() => writePage(page))
  }

  const flushWhenOld = (): void => {
    timer = setTimeout(() => {
      // With a page under way it waits: there are never more than two.
      if (pending > 0) flushWhenOld()
      else flush()
    }, ageMs)
    timer.unref()
  }

  const close = (): void => {
    isClosed = true
    clearTimeout(timer)
  }

  const seal = async (): Promise<void> => {
    if (failure !== null) return
    const job = hold.job()
    await orLost(writes.seal(job))
    hold.changed({ accepted: job.claim })
    isSealed = true
  }

  return {
    openSink: (given) => {
      check = given
      return {
        take: (items, cursor) => {
          if (failure !== null) throw failure.error
          if (isClosed) throw new WorkflowError('attempt_failed', 'the attempt is over: it takes no more items')
          buffer.add(items, cursor)
          if (isResumable && performance.now() - openedMs >= continueMs) {
            close()
            continues.abort(new WorkflowError('continued', 'the job goes on in a new delivery'))
            return null
          }
          if (buffer.isFull()) {
            const before = writing
            flush()
            return written(before)
          }
          if (isResumable && timer === undefined) flushWhenOld()
          return null
        },
        end: async () => {
          clearTimeout(timer)
          await written()
          if (isClosed) throw new WorkflowError('attempt_failed', 'the attempt is over')
          close()
          if (isResumable || !hasWritten) {
            const { items } = buffer.flush()
            if (items.length > 0 || !hasWritten) check(items)
            return items
          }
          if (!buffer.isEmpty()) flush()
          then(seal)
          await written()
          return []
        },
      }
    },
    continues: continues.signal,
    continuation: async () => {
      await written()
      const { items, cursor } = buffer.flush()
      if (items.length > 0) check(items)
      return { kind: 'continued', placed: { kind: 'items', items, next }, cursor }
    },
    keep: async () => {
      close()
      if (isResumable && !buffer.isEmpty()) flush()
      await written()
    },
    job: hold.job,
    isSealed: () => isSealed,
    allGiven,
    accept: async (lost) => {
      for (;;) {
        if (isCancel(lost)) return { kind: 'cancelled' }
        const job = hold.job()
        const accepted = lost.aborted ? ({ kind: 'lost' } as const) : await writes.accept(job)
        if (accepted.kind === 'lost') hold.lose()
        if (accepted.kind !== 'accepted') return allGiven
        hold.changed({ emitted: job.emitted + accepted.children })
      }
    },
    throwFault: () => {
      if (fault !== null) throw fault.error
    },
  }
}

const passAll = (): void => {}

const rejection = ({ job, items, next }: PageOfJob, error: unknown): WorkflowError => {
  const finished = { job, ending: { kind: 'succeeded', placed: { kind: 'items', items, next } }, elapsedMs: 0 } as const
  return new WorkflowError('output_rejected', reasonToReject(finished, error), { cause: error })
}
