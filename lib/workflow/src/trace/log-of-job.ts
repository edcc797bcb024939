import { type SpanContext, trace } from '@opentelemetry/api'
import type { Log } from '@esteira/service'

/** A log whose lines say where in its trace the job is: in the span that is active, or in the given one. */
export const logOfJob = (log: Log, place: SpanContext): Log => {
  const placed = (fields: Parameters<Log['info']>[0]) => {
    return { ...idsOf(trace.getActiveSpan()?.spanContext() ?? place), ...fields }
  }
  return {
    debug: (fields) => log.debug(placed(fields)),
    info: (fields) => log.info(placed(fields)),
    warn: (fields) => log.warn(placed(fields)),
    error: (fields) => log.error(placed(fields)),
  }
}

/** A place in a trace as OpenTelemetry wants it in a line of a log that is JSON. */
export const idsOf = ({ traceId, spanId }: SpanContext) => ({ trace_id: traceId, span_id: spanId })
