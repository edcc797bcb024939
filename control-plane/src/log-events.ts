import { type Log, reasonOf } from '@esteira/service'
import { isTransientHere, type ProbeEvent } from '@esteira/workflow'
import type { CronEvent } from './cron/scheduler.ts'
import type { TickWatchEvent } from './cron/watch-ticks.ts'
import type { ApiEvent } from './http/app.ts'
import type { ReconcilerEvent } from './reconciler/start-reconciler.ts'

/** All that the control plane tells of its work. */
export type ControlPlaneEvent = ApiEvent | CronEvent | TickWatchEvent | ReconcilerEvent | ProbeEvent

/** Writes events as lines of the log, at the level that they are worth. */
export const writeEvent =
  (log: Log) =>
  ({ kind, ...fields }: ControlPlaneEvent): void => {
    log[levelOf(kind)]({ event: kind, ...withError(fields) })
  }

const levelOf = (kind: ControlPlaneEvent['kind']): keyof Log => {
  switch (kind) {
    case 'request.answered':
    case 'probe.begun':
    case 'probe.sent':
    case 'cron-jobs.seen':
    case 'ticks.watched':
    case 'watch.broken':
      return 'debug'
    case 'tick.fired':
    case 'tick.left':
    case 'loop.recovered':
    case 'lead.taken':
    case 'cluster.back':
    case 'cron-jobs.changed':
    case 'pod-template.found':
      return 'info'
    case 'tick.retried':
    case 'tick.missed':
    case 'tick.overdue':
    case 'loop.failed':
    case 'jobs.lost':
    case 'lead.lost':
    case 'cluster.unavailable':
    case 'anchor.missing':
    case 'pod-template.awaited':
    case 'cron-jobs.drifted':
    case 'cron-jobs.added-to':
    case 'cron-jobs.contested':
    case 'cron-jobs.of-another-database':
    case 'cron-jobs.refused':
      return 'warn'
    case 'tick.given-up':
    case 'schedule.unreadable':
    case 'pod-template.unreadable':
    case 'request.failed':
      return 'error'
  }
}

/** A database that is away is one line; what nobody expects is written with its stack. */
const withError = (fields: Record<string, unknown>): Record<string, unknown> => {
  if (!('error' in fields)) return fields
  const { error, ...rest } = fields
  return { ...rest, reason: reasonOf(error), ...(isTransientHere(error) ? {} : { err: error }) }
}
