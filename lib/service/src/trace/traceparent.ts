import { type Context, ROOT_CONTEXT, type SpanContext, trace, TraceFlags } from '@opentelemetry/api'

/** A place in a trace in the form of the W3C `traceparent` header. */
export const traceparentOf = ({ traceId, spanId, traceFlags }: SpanContext): string =>
  `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`

/** The place that a `traceparent` names, or undefined where it is none. */
export const spanContextOf = (traceparent: string): SpanContext | undefined => {
  const [, traceId, spanId, flags] = form.exec(traceparent) ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  const place = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  return trace.isSpanContextValid(place) ? place : undefined
}

const form = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** A context of its own in which the place is the parent of what begins. */
export const contextAt = (place: SpanContext): Context => trace.setSpanContext(ROOT_CONTEXT, place)

/** Whether whoever began the trace records it. */
export const isSampled = ({ traceFlags }: SpanContext): boolean => (traceFlags & TraceFlags.SAMPLED) !== 0
