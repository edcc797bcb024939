import { trace } from '@opentelemetry/api'

/** Whoever starts OpenTelemetry gets the spans; until then, and without it, this one makes none. */
export const tracer = trace.getTracer('@esteira/workflow')
