import { type Log, reasonOf } from '@esteira/service'
import type { SpanContext } from '@opentelemetry/api'
import { idsOf } from '../trace/log-of-job.ts'
import type { WorkerEvent } from './worker-options.ts'

/** Writes what happened in a worker as a line of the log, at the level that it is worth. */
export const logEvent = (log: Log, event: WorkerEvent): void => {
  const { kind, ...told } = event
  const fields = 'place' in told ? placed(told) : told
  const line = { event: kind, ...fields }
  switch (event.kind) {
    case 'job.written':
      if ('error' in fields) log.warn(line)
      else log.debug(line)
      break
    case 'delivery.refused':
      // What was refused is told for all that went together, as `commit.refused`.
      log.debug(line)
      break
    case 'belt.back':
    case 'delivery.dropped':
      log.info(line)
      break
    case 'settle.failed':
    case 'settle.held-up':
    case 'commit.held-up':
    case 'beat.failed':
    case 'publish.failed':
    case 'belt.lost':
    case 'belt.fault':
    case 'belt.unreadable':
    case 'database.unavailable':
    case 'load.cut-short':
      log.warn(line)
      break
    case 'ward.died':
    case 'function.abandoned':
    case 'function.stuck':
    case 'worker.stuck':
    case 'probe.unanswered':
    case 'commit.refused':
    case 'commit.cut-short':
      log.error(line)
      break
    case 'delivery.handed-back':
      log.error({ ...line, error: undefined, ...reasonIn(event.error) })
      break
  }
}

const placed = <Told extends { place?: SpanContext }>({ place, ...told }: Told) => ({
  ...(place && idsOf(place)),
  ...told,
})

/** Why, and where in the program: of an error of Postgres nothing else, since it has values of the row. */
const reasonIn = (error: unknown) => ({
  reason: reasonOf(error),
  ...(error instanceof Error && { stack: error.stack }),
})
