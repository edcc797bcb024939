import { markSpans } from '@esteira/service/trace'
import { context, trace } from '@opentelemetry/api'
import { NodeSDK } from '@opentelemetry/sdk-node'
import {
  InMemorySpanExporter,
  ParentBasedSampler,
  type ReadableSpan,
  SimpleSpanProcessor,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace'

/** What a service does of its own where it is traced: a span for each HTTP call. */
export { watchHttp } from '../../lib/service/src/trace/http-spans.ts'

/** The spans of this process, marked as a service marks its own. */
export type KeptSpans = {
  spans: () => ReadableSpan[]
  forget: () => void
  /** Which part of the traces that begin is recorded: all, until this is called. */
  sample: (ratio: number) => void
  stop: () => Promise<void>
}

/** Starts OpenTelemetry in this process, once and for good, since tracers stay with their first provider. */
export const keepSpans = (): KeptSpans => {
  const exporter = new InMemorySpanExporter()
  let root = new TraceIdRatioBasedSampler(1)
  const sdk = new NodeSDK({
    spanProcessors: [markSpans(), new SimpleSpanProcessor({ exporter })],
    sampler: new ParentBasedSampler({
      root: {
        shouldSample: (parent, traceId) => root.shouldSample(parent, traceId),
        toString: () => 'as the test says',
      },
    }),
    autoDetectResources: false,
    metricReaders: [],
    logRecordProcessors: [],
  })
  sdk.start()
  return {
    spans: () => exporter.getFinishedSpans(),
    forget: () => exporter.reset(),
    sample: (ratio) => {
      root = new TraceIdRatioBasedSampler(ratio)
    },
    stop: async () => {
      await sdk.shutdown()
      trace.disable()
      context.disable()
    },
  }
}
