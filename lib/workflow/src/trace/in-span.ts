import { type Span, SpanStatusCode, trace } from '@opentelemetry/api'
import { reasonOf } from '@esteira/service'
import { isTraced } from '@esteira/service/trace'
import { noSpan, tracer } from './tracer.ts'

/**
 * Runs work within a span of its own; what it throws is told there, without a stack. Within a span that is not recorded
 * there is none, so a job that the sampler left out pays for its root and its processing alone; and where nobody traces
 * there is none either.
 */
export const inSpan = <T>(name: string, work: (span: Span) => Promise<T>): Promise<T> => {
  if (!isTraced()) return work(noSpan)
  const outer = trace.getActiveSpan()
  if (outer !== undefined && !outer.isRecording()) return work(outer)
  return tracer.startActiveSpan(name, async (span) => {
    try {
      return await work(span)
    } catch (error) {
      if (span.isRecording()) {
        span.setAttribute('error.type', typeOf(error))
        span.setStatus({ code: SpanStatusCode.ERROR, message: reasonOf(error) })
      }
      throw error
    } finally {
      span.end()
    }
  })
}

const typeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return '_OTHER'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
