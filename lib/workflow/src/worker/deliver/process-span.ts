import {
  context,
  INVALID_SPAN_CONTEXT,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { contextAt, isTraced, messagingAttributes, spanContextOf, withAttributes } from '@esteira/service/trace'
import type { HeldJob } from '../../job/held-job.ts'
import type { Delivered } from './finish.ts'
import { attemptAttributes } from '../../trace/job-attributes.ts'
import { tracer } from '../../trace/tracer.ts'

/** Where in its trace a job was processed. */
export type Traced = { place?: SpanContext }

/**
 * Runs the work on a delivery within its span, in the trace that began with the job's row. `receivedMs` is when the
 * delivery came, by `performance.now()`. `work` gets the place of the span, which the traces of the children link to;
 * where nobody traces, that of the job's row.
 */
export const inProcessSpan = async (
  job: HeldJob,
  receivedMs: number,
  work: (place: SpanContext) => Promise<Delivered>,
): Promise<Delivered & Traced> => {
  const created = spanContextOf(job.traceparent)
  if (!isTraced()) {
    const place = created ?? INVALID_SPAN_CONTEXT
    return { ...(await work(place)), place }
  }
  const parent = withAttributes(created === undefined ? ROOT_CONTEXT : contextAt(created), attemptAttributes(job))
  const span = tracer.startSpan(
    `process ${job.functionName}`,
    {
      kind: SpanKind.CONSUMER,
      startTime: receivedMs,
      attributes: messagingAttributes('process', { routingKey: job.functionName }),
      links: created === undefined ? [] : [{ context: created }],
    },
    parent,
  )
  return context.with(trace.setSpan(parent, span), async () => {
    try {
      const place = span.spanContext()
      const delivered = await work(place)
      tell(span, delivered)
      return { ...delivered, place }
    } catch (error) {
      // Nothing was written and the message comes again; what was wrong is the house's, and in the log.
      span.setAttributes({ 'esteira.outcome': 'handed back', 'error.type': 'handed_back' })
      span.setStatus({ code: SpanStatusCode.ERROR })
      throw error
    } finally {
      span.end()
    }
  })
}

/** How it ended; an error is as it is stored with the job, without payload or secret. */
const tell = (span: Span, delivered: Delivered): void => {
  if (delivered.kind !== 'written') {
    span.setAttribute('esteira.outcome', delivered.kind)
    if (delivered.kind === 'dropped') span.setAttribute('esteira.drop.reason', delivered.reason)
    else span.setStatus({ code: SpanStatusCode.ERROR })
    return
  }
  const { ending } = delivered
  if (ending.kind === 'requeued' && (ending.error === null || ending.error.code === 'snoozed')) {
    // A function that waits on purpose has not failed.
    span.setAttribute('esteira.outcome', 'snoozed')
    return
  }
  span.setAttribute('esteira.outcome', ending.kind)
  if (!('error' in ending) || ending.error === null) return
  span.setAttribute('error.type', ending.error.code)
  span.setStatus({ code: SpanStatusCode.ERROR, message: ending.error.message })
}
