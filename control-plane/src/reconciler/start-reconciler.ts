import { reasonOf } from '@esteira/service'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Loop, type LoopEvent, startLoop } from '../loop.ts'
import { createClusterView, type ViewEvent } from './cluster-view.ts'
import type { CronJobs } from './cron-jobs.ts'
import { createDesire } from './desired-cron-jobs.ts'
import { type LeadEvent, openLead } from './lead.ts'
import type { PodTemplate } from './pod-template.ts'
import { readDatabaseId } from './read-database-id.ts'
import { reconcileOnce } from './reconcile.ts'
import type { ReconcileEvent } from './tell-turn.ts'
import { createRepairs } from './repairs.ts'

/** What the reconciler tells of its work. */
export type ReconcilerEvent =
  | LoopEvent
  | LeadEvent
  | ViewEvent
  | ReconcileEvent
  | { kind: 'schedule.unreadable'; stepId: string; step: string; workflow: string }
  | { kind: 'pod-template.awaited' | 'pod-template.found' }
  | { kind: 'cron-jobs.of-another-database'; count: number; objects: string[] }
  | { kind: 'pod-template.unreadable'; reason: string }

export type ReconcilerOptions = {
  orm: MikroORM
  /** For the session that holds the lead: Postgres itself, no pooler. */
  databaseUrl: string
  cronJobs: CronJobs
  /** The name of the ConfigMap that all CronJobs hang on. */
  anchor: string
  /** Reads the template that this control plane was rolled out with; null while there is but another. */
  readTemplate: () => Promise<PodTemplate | null>
  observe: (event: ReconcilerEvent) => void
  resyncMs?: number
  pollMs?: number
  /** For tests: what is waited for after a cluster that gave no answer. */
  backoff?: { firstMs: number; capMs: number }
}

/** Another control plane may have saved, and only who leads acts on it. */
const defaultPollMs = 3_000
const defaultResyncMs = 30_000

/** After something was not as it seemed: soon, and not without a pause. */
const doubtfulMs = 500

/**
 * Keeps the CronJobs of the cluster those of the cron steps. Of several control planes the one that leads does; a turn
 * follows a save, news of the watch, and a poll of the database.
 */
export const startReconciler = (options: ReconcilerOptions): Loop => {
  const {
    orm,
    anchor,
    cronJobs,
    readTemplate,
    observe,
    pollMs = defaultPollMs,
    resyncMs = defaultResyncMs,
    backoff,
  } = options
  const lead = openLead(options.databaseUrl, observe)
  const view = createClusterView({
    cronJobs,
    onNews: () => loop.wake(),
    observe,
    resyncMs,
    ...(backoff === undefined ? {} : { backoff }),
  })
  let template: PodTemplate | null = null
  let isAwaited = false
  let database: string | undefined
  let desire: ReturnType<typeof createDesire> | undefined
  let others = 0
  let templateFault: string | null = null
  const repairs = createRepairs()
  let stopping = false
  let unreadable = new Set<string>()

  /**
   * A ConfigMap reaches the pods that run as soon as it is changed, and one that starts right behind an upgrade may see the
   * one of before for a minute. So what is found is taken only if it is our own, and then for good: whatever an upgrade
   * brings that cannot roll out, a wrong image for example, ticks go on as before it.
   */
  const findTemplate = async (): Promise<PodTemplate | null> => {
    try {
      const found = await readTemplate()
      templateFault = null
      if (found === null && !isAwaited) observe({ kind: 'pod-template.awaited' })
      if (found !== null && isAwaited) observe({ kind: 'pod-template.found' })
      isAwaited = found === null
      return found
    } catch (error) {
      const reason = reasonOf(error)
      if (reason !== templateFault) observe({ kind: 'pod-template.unreadable', reason })
      templateFault = reason
      return null
    }
  }

  const turn = async (): Promise<number> => {
    // Without it the lead is for who has it: the pods of before, while an upgrade goes on.
    template ??= await findTemplate()
    if (template === null) return pollMs
    if (!(await lead.take())) {
      await view.close()
      return pollMs
    }
    database ??= await readDatabaseId(orm.em.fork())
    desire ??= createDesire({ anchor, template, database })
    const report = await reconcileOnce({
      em: orm.em.fork(),
      view: await view.look(),
      cronJobs,
      desire,
      repairs,
      database,
      mayWrite: () => !stopping && lead.holds(),
      lead,
      observe,
    })
    // Once for what is there: the next turns see the same.
    if (report.others.length > 0 && others === 0) {
      const objects = report.others.slice(0, 10)
      observe({ kind: 'cron-jobs.of-another-database', count: report.others.length, objects })
    }
    others = report.others.length
    const before = unreadable
    unreadable = new Set(report.unreadable.map((step) => keyOf(step)))
    for (const step of report.unreadable) {
      const { stepId, name, workflowName } = step
      if (!before.has(keyOf(step))) observe({ kind: 'schedule.unreadable', stepId, step: name, workflow: workflowName })
    }
    if (report.held !== null) view.hold(report.held)
    if (report.doubtful) {
      view.doubt()
      return doubtfulMs
    }
    return report.more && report.held === null ? 0 : pollMs
  }

  const loop = startLoop('reconcile', turn, observe)
  return {
    wake: loop.wake,
    stop: async () => {
      stopping = true
      await loop.stop()
      await view.close()
      await lead.release()
    },
  }
}

const keyOf = ({ stepId, savedAt }: { stepId: string; savedAt: Date }): string => `${stepId} ${savedAt.toISOString()}`
