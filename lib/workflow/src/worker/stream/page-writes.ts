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
import type { DeliverMeans } from '../deliver.ts'
import { blameFor, isGivenUp, isOfMoment } from '../blame.ts'
import { mostCuts } from '../commit-group.ts'
import { placesByName } from '../places.ts'

/**
 * Writes of jobs that give their items page by page, each a unit of work, tried until the database answers. A page that
 * it gives up time and again is thrown if what is in it is to blame: the write of anything else about its job is taken
 * right behind. All others are tried for as long as it takes, since nothing of them is the function's.
 */
export type PageWrites = {
  write: (page: PageOfJob, cursor: unknown) => Promise<WrittenPage>
  hide: (page: PageOfJob, firstItem: number) => Promise<PageFate>
  seal: (job: JobOnBelt) => Promise<PageFate>
  accept: (job: HeldJob) => Promise<Accepted>
}

type PageWritesOptions = {
  orm: MikroORM
  by: By
  /** Units of work of a function at a time. */
  atOnce: number
  untilDone: DeliverMeans['untilDone']
  /** Waits for what somebody holds locked: the job, or its run. */
  untilFree: (job: JobOnBelt, error: unknown) => Promise<void>
  /** Hears of a page that Postgres has given up, and says when it is to be tried again. */
  onGivenUp: (error: unknown) => Promise<void>
  /** Hears of what was committed. */
  onWritten: (written: Omit<Written, 'won'>) => void
}

export const createPageWrites = ({
  orm,
  by,
  atOnce,
  untilDone,
  untilFree,
  onGivenUp,
  onWritten,
}: PageWritesOptions): PageWrites => {
  const placesOf = placesByName(atOnce)
  const once = <T>(
    { functionName }: JobOnBelt,
    work: (em: EntityManager) => Promise<T>,
    mayPass: (error: unknown) => boolean,
  ): Promise<T> => {
    const limited = async (em: EntityManager): Promise<T> => {
      await limitLockWaits(em)
      return work(em)
    }
    return placesOf(functionName)(() => untilDone(() => orm.em.fork().transactional(limited), mayPass))
  }
  /** What somebody holds locked is waited for without a place: the pages of others have it. */
  const inUnit = async <T>(job: JobOnBelt, work: (em: EntityManager) => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await once(job, work, (error) => isTransientHere(error) && !isLockedOut(error))
      } catch (error) {
        if (blameFor(error) !== 'held up') throw error
        await untilFree(job, error)
      }
    }
  }
  /** Like the end of a job: with its locks before it is held to be too much, and then against a write without it. */
  const pageInUnit = async <T>(job: JobOnBelt, work: (em: EntityManager) => Promise<T>): Promise<T> => {
    const locked = async (em: EntityManager): Promise<T> => {
      await lockFirst(em, [job])
      return work(em)
    }
    const isTakenWithout = async (): Promise<boolean> => {
      try {
        return await once(job, (em) => touchJob(em, job), isOfMoment)
      } catch (error) {
        if (isGivenUp(error)) return false
        throw error
      }
    }
    for (let cuts = 0; ;) {
      try {
        return await once(job, cuts < mostCuts - 1 ? work : locked, isOfMoment)
      } catch (error) {
        if (!isGivenUp(error)) throw error
        if (blameFor(error) === 'held up') {
          await untilFree(job, error)
          continue
        }
        cuts += 1
        if (cuts >= mostCuts && (await isTakenWithout())) throw error
        await onGivenUp(error)
      }
    }
  }
  return {
    write: async (page, cursor) => {
      const { toSettle, created, ...written } = await pageInUnit(page.job, (em) => writePage(em, page, cursor, by))
      onWritten({ toSettle, created })
      return written
    },
    hide: async (page, firstItem) => {
      const { fate, created } = await pageInUnit(page.job, (em) => hidePage(em, page, firstItem))
      onWritten({ toSettle: [], created })
      return fate
    },
    seal: (job) => inUnit(job, (em) => sealPages(em, job)),
    accept: async (job) => {
      const accepted = await inUnit(job, (em) => acceptPage(em, job, by))
      if (accepted.kind === 'accepted') onWritten({ toSettle: accepted.toSettle, created: [] })
      return accepted
    },
  }
}
