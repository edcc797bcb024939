import { type Log, reasonOf } from '@esteira/service'
import { isTransient, type ProbeEvent } from '@esteira/workflow'
import type { CronEvent } from './cron/scheduler.ts'
import type { ApiEvent } from './http/app.ts'

/** All that the control plane tells of its work. */
export type ControlPlaneEvent = ApiEvent | CronEvent | ProbeEvent

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
      return 'debug'
    case 'tick.fired':
    case 'tick.left':
    case 'loop.recovered':
      return 'info'
    case 'tick.retried':
    case 'tick.missed':
    case 'loop.failed':
    case 'jobs.lost':
      return 'warn'
    case 'tick.given-up':
    case 'schedule.unreadable':
    case 'request.failed':
      return 'error'
  }
}

/** A database that is away is one line; what nobody expects is written with its stack. */
const withError = (fields: Record<string, unknown>): Record<string, unknown> => {
  if (!('error' in fields)) return fields
  const { error, ...rest } = fields
  return { ...rest, reason: reasonOf(error), ...(isTransient(error) ? {} : { err: error }) }
}
