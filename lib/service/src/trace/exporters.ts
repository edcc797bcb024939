import {
  BatchSpanProcessor,
  ConsoleSpanExporter,
  SimpleSpanProcessor,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace'
import { exportersIn } from './traces-asked.ts'

/**
 * What sends spans, by `OTEL_TRACES_EXPORTER` (`otlp` unless given, or `console`), `OTEL_EXPORTER_OTLP_PROTOCOL` and
 * `OTEL_BSP_*`. The exporters read the other `OTEL_EXPORTER_OTLP_*` variables themselves.
 *
 * @throws Error that names an exporter or a protocol which is not known.
 */
export const openProcessors = async (env: NodeJS.ProcessEnv, severed: AbortSignal): Promise<SpanProcessor[]> => {
  const names = new Set(exportersIn(env))
  if (names.size === 0) names.add('otlp')
  return Promise.all([...names].map((name) => openProcessor(name, env, severed)))
}

const openProcessor = async (name: string, env: NodeJS.ProcessEnv, severed: AbortSignal): Promise<SpanProcessor> => {
  switch (name) {
    case 'otlp':
      return new BatchSpanProcessor({ exporter: await openOtlp(protocolIn(env), severed), ...batching(env) })
    case 'console':
      return new SimpleSpanProcessor({ exporter: new ConsoleSpanExporter() })
    default:
      throw new Error(`OTEL_TRACES_EXPORTER: expected otlp, console or none, "${name}" is not`)
  }
}

const protocolIn = (env: NodeJS.ProcessEnv): string =>
  (env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? env.OTEL_EXPORTER_OTLP_PROTOCOL)?.trim() || 'http/protobuf'

const openOtlp = async (protocol: string, severed: AbortSignal): Promise<SpanExporter> => {
  // To Node these are options of a socket.
  const httpAgentOptions = { keepAlive: true, signal: severed }
  switch (protocol) {
    case 'http/protobuf':
      return new (await import('@opentelemetry/exporter-trace-otlp-proto')).OTLPTraceExporter({ httpAgentOptions })
    case 'http/json':
      return new (await import('@opentelemetry/exporter-trace-otlp-http')).OTLPTraceExporter({ httpAgentOptions })
    case 'grpc':
      return new (await import('@opentelemetry/exporter-trace-otlp-grpc')).OTLPTraceExporter()
    default:
      throw new Error(`OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, http/json or grpc, "${protocol}" is not`)
  }
}

/** What is not given, or no number, is as the SDK has it. */
const batching = (env: NodeJS.ProcessEnv) => {
  const given = Object.entries({
    maxQueueSize: env.OTEL_BSP_MAX_QUEUE_SIZE,
    maxExportBatchSize: env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
    scheduledDelayMillis: env.OTEL_BSP_SCHEDULE_DELAY,
    exportTimeoutMillis: env.OTEL_BSP_EXPORT_TIMEOUT,
  }).flatMap(([option, text = '']) => (/^\d+$/.test(text) ? [[option, Number(text)] as const] : []))
  return Object.fromEntries(given)
}
