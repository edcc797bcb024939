import { WorkflowError } from '../../errors.ts'
import { firstOfEach, keysOf } from '../../function/item-key.ts'
import type { OpenSink } from '../../function/item-sink.ts'
import type { Ending, HeldJob } from '../../job/held-job.ts'
import { type BufferedPage, createPageBuffer, type PageLimits } from './page-buffer.ts'
import type { PageMemory } from './page-memory.ts'
import { allGiven, type Pages } from './pages.ts'

/**
 * Pages of a stream that wait to be written, at most: two for whoever waits before it gives more, and one each for so many
 * that give at the same time.
 */
const mostPending = 64

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
  /** Frees the memory of items that were left for the end of the job, when that is written. */
  leave: () => void
}

type JobStreamOptions = {
  pages: Pages
  /** Whether its function can go on behind a page. */
  isResumable: boolean
  /** The member that tells its items apart; null when all of them go on. */
  itemKey: string | null
  limits: PageLimits
  /** What all streams of the process have together. */
  memory: PageMemory
  /** A page that has a cursor is written when it is so old, milliseconds, full or not. */
  ageMs: number
  /** The job goes on in a new delivery when this one has lasted so long, milliseconds. */
  continueMs: number
}

/**
 * Takes the items of a job as its function gives them, and makes pages of them. Those that end within the first page are
 * left for the unit of work that writes the job's end; where items have keys, only those of a job that has had no page, as
 * pages alone are compared with what the job has had. While one page is written the next one is gathered, and no more;
 * and it waits when all streams together have too much.
 */
export const openJobStream = (options: JobStreamOptions): JobStream => {
  const { pages, isResumable, itemKey, limits, memory, ageMs, continueMs } = options
  const buffer = createPageBuffer(pages.job().step.name, limits)
  const continues = new AbortController()
  const openedMs = performance.now()
  let check: Parameters<OpenSink>[0] = passAll
  let isClosed = false
  let hasFlushed = false
  let pending = 0
  let writing: Promise<void> = Promise.resolve()
  let failure: { error: unknown } | null = null
  let timer: NodeJS.Timeout | undefined

  /** One after the other, and none behind one that failed. */
  const then = (write: () => Promise<void>, bytes = 0): void => {
    const before = writing
    pending += 1
    writing = (async () => {
      await before
      try {
        if (failure === null) await write()
      } catch (error) {
        failure = { error }
      }
      pending -= 1
      share.free(bytes)
    })()
  }

  /** Waits for all writes so far. */
  const written = async (upTo = writing): Promise<void> => {
    await upTo
    if (failure !== null) throw failure.error
  }

  /** What was gathered. Until it is written, with the end of the job if not before, its memory is taken. */
  const takePage = (): BufferedPage => {
    share.pass(buffer.bytesInMemory())
    return buffer.flush()
  }

  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    hasFlushed = true
    const bytes = buffer.bytesInMemory()
    const page = takePage()
    then(async () => {
      if (page.items.length > 0) check(page.items)
      await pages.write(page)
    }, bytes)
  }

  // With a page under way it would have three.
  const share = memory.enter({ jobId: pages.job().id, canFlush: () => !isClosed && pending === 0, flush })

  const flushWhenOld = (): void => {
    timer = setTimeout(() => {
      // With a page under way it waits: there are never more than two.
      if (pending > 0) flushWhenOld()
      else flush()
    }, ageMs)
    timer.unref()
  }

  /** Whether none of its items is in a page: then none can be known but from the buffer. */
  const isFirstPage = (): boolean => !hasFlushed && pages.job().cursor === null

  const flushAll = async (): Promise<void> => {
    if (!buffer.isEmpty()) flush()
    await written()
  }

  /** What is left for the job's end. */
  const takeLast = async (): Promise<BufferedPage> => {
    if (itemKey === null) return takePage()
    if (!isFirstPage()) await flushAll()
    const { items, cursor } = takePage()
    const keys = keysOf(items, itemKey)
    return { items: firstOfEach(items, keys, new Set(keys)), cursor }
  }

  const close = (): void => {
    isClosed = true
    clearTimeout(timer)
  }

  return {
    openSink: (given) => {
      check = given
      return {
        take: (items, cursor) => {
          if (failure !== null) throw failure.error
          if (isClosed) throw new WorkflowError('attempt_failed', 'the attempt is over: it takes no more items')
          if (pending >= mostPending) throw new WorkflowError('output_invalid', unawaited, { final: false })
          const bytesBefore = buffer.bytesInMemory()
          try {
            buffer.add(items, cursor)
          } finally {
            share.gather(buffer.bytesInMemory() - bytesBefore)
          }
          if (isResumable && performance.now() - openedMs >= continueMs) {
            close()
            continues.abort(new WorkflowError('continued', 'the job goes on in a new delivery'))
            return null
          }
          const before = writing
          const isFull = buffer.isFull()
          if (isFull) flush()
          else if (isResumable && timer === undefined && !buffer.isEmpty()) flushWhenOld()
          const room = share.room()
          return isFull || room !== null ? Promise.all([written(before), room]).then(passAll) : null
        },
        written: async () => {
          // Its attempt may be over, and the job another's.
          if (isClosed) throw new WorkflowError('attempt_failed', 'the attempt is over')
          if (itemKey !== null && isFirstPage()) return new Set(keysOf(buffer.items(), itemKey)).size
          await flushAll()
          return pages.job().emitted
        },
        end: async () => {
          clearTimeout(timer)
          // Until it is closed, the memory that one of them frees may have the next one written.
          let last: Promise<void> | undefined
          do {
            last = writing
            await written(last)
          } while (last !== writing)
          if (isClosed) throw new WorkflowError('attempt_failed', 'the attempt is over')
          close()
          if (isResumable || !hasFlushed) {
            const { items } = await takeLast()
            if (items.length > 0 || !hasFlushed) check(items)
            return items
          }
          if (!buffer.isEmpty()) flush()
          then(pages.seal)
          await written()
          return []
        },
      }
    },
    continues: continues.signal,
    continuation: async () => {
      await written()
      // What comes after them is compared with pages alone.
      if (itemKey !== null) await flushAll()
      const { items, cursor } = takePage()
      if (items.length > 0) check(items)
      return { kind: 'continued', placed: { kind: 'items', items, next: pages.next }, cursor }
    },
    keep: async () => {
      close()
      if (isResumable && !buffer.isEmpty()) flush()
      await written()
    },
    job: pages.job,
    isSealed: pages.isSealed,
    allGiven: allGiven(pages.next),
    leave: () => {
      close()
      share.leave()
    },
  }
}

const passAll = (): void => {}

const unawaited = `${mostPending} pages wait to be written, as emit is called without waiting for what it returns`
