import type { EntityManager, MikroORM } from '@mikro-orm/postgresql'
import type { HeldJob, JobOnBelt } from '../../job/held-job.ts'
import { acceptPage, type Accepted } from '../../job/pages/accept-page.ts'
import { hidePage, sealPages } from '../../job/pages/hide-page.ts'
import type { PageFate, PageOfJob } from '../../job/pages/page-of-job.ts'
import { writePage, type WrittenPage } from '../../job/pages/write-page.ts'
import type { By, Written } from '../../job/unit/write-unit.ts'
import { placesByName } from '../places.ts'

/** Writes of jobs that give their items page by page, each a unit of work, tried until the database answers. */
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
  untilDone: <T>(work: () => Promise<T>) => Promise<T>
  /** Hears of what was committed. */
  onWritten: (written: Omit<Written, 'won'>) => void
}

export const createPageWrites = ({ orm, by, atOnce, untilDone, onWritten }: PageWritesOptions): PageWrites => {
  /** A run that somebody holds locked is waited for by the pages of its functions, and by no others. */
  const placesOf = placesByName(atOnce)
  const inUnit = <T>({ functionName }: JobOnBelt, work: (em: EntityManager) => Promise<T>): Promise<T> =>
    placesOf(functionName)(() => untilDone(() => orm.em.fork().transactional(work)))
  return {
    write: async (page, cursor) => {
      const { toSettle, created, ...written } = await inUnit(page.job, (em) => writePage(em, page, cursor, by))
      onWritten({ toSettle, created })
      return written
    },
    hide: async (page, firstItem) => {
      const { fate, created } = await inUnit(page.job, (em) => hidePage(em, page, firstItem))
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
