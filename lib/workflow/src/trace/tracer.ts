import { INVALID_SPAN_CONTEXT, trace } from '@opentelemetry/api'

/** Whoever starts OpenTelemetry gets the spans; until then, and without it, this one makes none. */
export const tracer = trace.getTracer('@esteira/workflow')

/** Takes whatever it is told, and keeps nothing. */
export const noSpan = trace.wrapSpanContext(INVALID_SPAN_CONTEXT)
