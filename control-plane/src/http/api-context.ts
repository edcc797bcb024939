import type { MikroORM } from '@mikro-orm/postgresql'
import type { CronMode } from '../config.ts'

/** What the routes work with. */
export type ApiContext = {
  orm: MikroORM
  /** The outbox lane of this process, for the runs that begin here. */
  lane: number
  /** Who began a run's first job, for people. */
  worker: string
  /** What a run's first payload may have as JSON. */
  maxPayloadBytes: number
  /** Called after a save has been committed, so that whoever fires ticks looks at once. */
  onSaved: () => void
  /** Who fires the ticks of CronJob steps. */
  cron: CronMode
  /** What is counted, in the text format of Prometheus. */
  metrics: () => string
}
