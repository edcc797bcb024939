import type { EntityManager, MikroORM } from '@mikro-orm/postgresql'
import type { HeldJob, JobOnBelt } from '../../job/held-job.ts'
import { acceptPage, type Accepted } from '../../job/pages/accept-page.ts'
import { hidePage, sealPages } from '../../job/pages/hide-page.ts'
import type { PageFate, PageOfJob } from '../../job/pages/page-of-job.ts'
import { writePage, type WrittenPage } from '../../job/pages/write-page.ts'
import type { By, Written } from '../../job/unit/write-unit.ts'
import type { DeliverMeans } from '../deliver.ts'
import { blameFor, isOfMoment } from '../blame.ts'
import { mostCuts } from '../commit-group.ts'
import { placesByName } from '../places.ts'

/**
 * Writes of jobs that give their items page by page, each a unit of work, tried until the database answers. A page that it
 * gives up time and again is thrown: an attempt must not last as long as that does.
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
  /** Before a page is tried again that Postgres has given up. */
  pause: () => Promise<unknown>
  /** Hears of what was committed. */
  onWritten: (written: Omit<Written, 'won'>) => void
}

export const createPageWrites = ({ orm, by, atOnce, untilDone, pause, onWritten }: PageWritesOptions): PageWrites => {
  /** A run that somebody holds locked is waited for by the pages of its functions, and by no others. */
  const placesOf = placesByName(atOnce)
  const inUnit = <T>({ functionName }: JobOnBelt, work: (em: EntityManager) => Promise<T>): Promise<T> =>
    placesOf(functionName)(() => untilDone(() => orm.em.fork().transactional(work)))
  const pageInUnit = async <T>({ functionName }: JobOnBelt, work: (em: EntityManager) => Promise<T>): Promise<T> => {
    for (let cuts = 1; ; cuts += 1) {
      try {
        return await placesOf(functionName)(() => untilDone(() => orm.em.fork().transactional(work), isOfMoment))
      } catch (error) {
        if (blameFor(error) !== 'cut short' || cuts === mostCuts) throw error
        await pause()
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
