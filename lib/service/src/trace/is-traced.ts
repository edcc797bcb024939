import { ProxyTracerProvider, trace } from '@opentelemetry/api'

/**
 * Whether anybody has started OpenTelemetry in this process. Where nobody has, its tracers make spans that record nothing,
 * and what those are told costs some 25 us a job.
 */
export const isTraced = (): boolean => {
  const provider = trace.getTracerProvider()
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('@esteira/service') !== undefined
}
