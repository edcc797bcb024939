import type { EntityManager, MikroORM } from '@mikro-orm/postgresql'
import { isLockedOut, isTransientHere } from '../../database/is-transient.ts'
import type { HeldJob, JobOnBelt } from '../../job/held-job.ts'
import { acceptPage, type Accepted } from '../../job/pages/accept-page.ts'
import { hidePage, sealPages } from '../../job/pages/hide-page.ts'
import type { PageFate, PageOfJob } from '../../job/pages/page-of-job.ts'
import { writePage, type WrittenPage } from '../../job/pages/write-page.ts'
import { touchJob } from '../../job/pages/touch-job.ts'
import { limitLockWaits } from '../../job/unit/limit-lock-waits.ts'
import { lockFirst } from '../../job/unit/lock-first.ts'
import type { By, Written } from '../../job/unit/write-unit.ts'
import type { DeliverMeans } from '../deliver/deliver.ts'
import { blameFor, isOfMoment } from '../commit/blame.ts'
import { mostCuts } from '../commit/commit-group.ts'
import { heldUp } from '../commit/commit-patiently.ts'
import type { JobWaits } from '../hold/job-waits.ts'
import { placesByName } from '../attempt/places.ts'

/**
 * Writes of jobs that give their items page by page, each a unit of work, tried until the database answers. A page that
 * it gives up time and again is thrown if what is in it is to blame: the write of anything else about its job is taken
 * right behind. All others are tried for as long as it takes, since nothing of them is the function's; but what somebody
 * holds locked no longer than the delivery may last, which has begun at `sinceMs`, by `performance.now()`.
 *
 * @throws WorkflowError `held_up` when that takes longer: the job is to be put off.
 */
export type PageWrites = {
  write: (page: PageOfJob, cursor: unknown, sinceMs: number) => Promise<WrittenPage>
  hide: (page: PageOfJob, firstItem: number, sinceMs: number) => Promise<PageFate>
  seal: (job: JobOnBelt, sinceMs: number) => Promise<PageFate>
  accept: (job: HeldJob, sinceMs: number) => Promise<Accepted>
}

type PageWritesOptions = {
  orm: MikroORM
  by: By
  /** Units of work of a function at a time. */
  atOnce: number
  untilDone: DeliverMeans['untilDone']
  waits: Pick<JobWaits, 'isHeld' | 'untilFree'>
  /** Hears of what was held up, and finds what of it somebody holds locked: the job, or its run. */
  onHeldUp: (job: JobOnBelt, error: unknown) => Promise<string>
  /** How long a delivery may last of which a page waits for locks, milliseconds. */
  patienceMs: number
  /** Hears of a page that Postgres has given up, and says when it is to be tried again. */
  onGivenUp: (error: unknown) => Promise<void>
  /** Hears of what was committed. */
  onWritten: (written: Omit<Written, 'won'>) => void
}

/** Of what job something is written, until when that waits for locks, and whether it needs the counters of the run. */
type Writing = { job: JobOnBelt; untilMs: number; movesCounters: boolean }

type Work<T> = (em: EntityManager) => Promise<T>

export const createPageWrites = ({
  orm,
  by,
  atOnce,
  untilDone,
  waits,
  onHeldUp,
  patienceMs,
  onGivenUp,
  onWritten,
}: PageWritesOptions): PageWrites => {
  const placesOf = placesByName(atOnce)
  /** Runs that also those wait for who need none of their counters: it is the row that somebody holds. */
  const heldByRow = new Set<string>()

  const noteHeldByRow = (runId: string): void => {
    for (const id of heldByRow) if (!waits.isHeld(id)) heldByRow.delete(id)
    heldByRow.add(runId)
  }

  const inTransaction = <T>(work: Work<T>, mayPass: (error: unknown) => boolean): Promise<T> =>
    untilDone(
      () =>
        orm.em.fork().transactional(async (em) => {
          await limitLockWaits(em)
          return work(em)
        }),
      mayPass,
    )

  /** What somebody holds locked is waited for without a place: the pages of others have it. */
  const throughLocks = async <T>(
    { job, untilMs, movesCounters }: Writing,
    work: Work<T>,
    mayPass: (error: unknown) => boolean,
  ): Promise<T> => {
    for (;;) {
      let isKnown = false
      try {
        return await placesOf(job.functionName)(async () => {
          // Asked here and not before: of those that stood in line each would find out anew that their run is held.
          isKnown = waits.isHeld(job.runId) && (movesCounters || heldByRow.has(job.runId))
          if (isKnown) throw heldUp()
          return inTransaction(work, mayPass)
        })
      } catch (error) {
        if (blameFor(error) !== 'held up') throw error
        const lock = isKnown ? job.runId : await onHeldUp(job, error)
        if (!movesCounters && lock === job.runId) noteHeldByRow(job.runId)
        if (!(await waits.untilFree(job, lock, untilMs))) throw heldUp()
        heldByRow.delete(job.runId)
      }
    }
  }

  const inUnit = <T>(writing: Writing, work: Work<T>): Promise<T> =>
    throughLocks(writing, work, (error) => isTransientHere(error) && !isLockedOut(error))

  /** Like the end of a job: with its locks before it is held to be too much, and then against a write without it. */
  const pageInUnit = async <T>(writing: Writing, work: Work<T>): Promise<T> => {
    const { job } = writing
    const locked = async (em: EntityManager): Promise<T> => {
      await lockFirst(em, [job])
      return work(em)
    }
    const isTakenWithout = async (): Promise<boolean> => {
      try {
        return await throughLocks({ ...writing, movesCounters: false }, (em) => touchJob(em, job), isOfMoment)
      } catch (error) {
        if (blameFor(error) === 'cut short') return false
        throw error
      }
    }
    for (let cuts = 0; ;) {
      try {
        return await throughLocks(writing, cuts < mostCuts - 1 ? work : locked, isOfMoment)
      } catch (error) {
        if (blameFor(error) !== 'cut short') throw error
        cuts += 1
        if (cuts >= mostCuts && (await isTakenWithout())) throw error
        await onGivenUp(error)
      }
    }
  }

  const writingOf = (job: JobOnBelt, sinceMs: number, movesCounters: boolean): Writing => ({
    job,
    untilMs: sinceMs + patienceMs,
    movesCounters,
  })

  return {
    write: async (page, cursor, sinceMs) => {
      const writing = writingOf(page.job, sinceMs, true)
      const { toSettle, created, ...written } = await pageInUnit(writing, (em) => writePage(em, page, cursor, by))
      onWritten({ toSettle, created })
      return written
    },
    hide: async (page, firstItem, sinceMs) => {
      const writing = writingOf(page.job, sinceMs, false)
      const { fate, created } = await pageInUnit(writing, (em) => hidePage(em, page, firstItem))
      onWritten({ toSettle: [], created })
      return fate
    },
    seal: (job, sinceMs) => inUnit(writingOf(job, sinceMs, false), (em) => sealPages(em, job)),
    accept: async (job, sinceMs) => {
      const accepted = await inUnit(writingOf(job, sinceMs, true), (em) => acceptPage(em, job, by))
      if (accepted.kind === 'accepted') onWritten({ toSettle: accepted.toSettle, created: [] })
      return accepted
    },
  }
}
