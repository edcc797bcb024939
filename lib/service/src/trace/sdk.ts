import { diag, DiagLogLevel } from '@opentelemetry/api'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { reasonOf } from '../availability.ts'
import type { Log } from '../log.ts'
import { openProcessors } from './exporters.ts'
import { watchHttp } from './http-spans.ts'
import { markSpans } from './mark-spans.ts'

/**
 * Starts the SDK by the standard variables: resource, sampler, limits and propagation are its own, and so is the choice of
 * exporters, which is made here so that spans are marked before they are sent. No instrumentation is loaded, amqplib's
 * least of all: with Rascal it gave 59 of 60 concurrent publishes the wrong trace. Resolves to what sends the last spans and
 * ends it; `severed` breaks the connections to the receiver.
 */
export const startSdk = async (
  service: string,
  env: NodeJS.ProcessEnv,
  log: Log,
  severed: AbortSignal,
): Promise<() => Promise<void>> => {
  const tell = (reason: string) => {
    // A container has no id of its machine, and need not have one.
    if (reason.includes('"host.id"')) return
    log.warn({ event: 'traces.fault', reason: reason.slice(0, longestReason) })
  }
  diag.setLogger({ error: tell, warn: tell, info: () => {}, debug: () => {}, verbose: () => {} }, DiagLogLevel.WARN)
  const sdk = new NodeSDK({
    spanProcessors: [markSpans(), ...(await openProcessors(env, severed))],
    // Metrics are served at /metrics, and logs are lines on stdout.
    metricReaders: [],
    logRecordProcessors: [],
    ...(isNamed(env) ? {} : { serviceName: service }),
  })
  sdk.start()
  const unwatch = watchHttp()
  return async () => {
    unwatch()
    try {
      await sdk.shutdown()
    } catch (error) {
      tell(reasonOf(error))
    }
  }
}

/** The SDK tells of a receiver that is away with a stack, in JSON. */
const longestReason = 500

const isNamed = ({ OTEL_SERVICE_NAME = '', OTEL_RESOURCE_ATTRIBUTES = '' }: NodeJS.ProcessEnv): boolean =>
  OTEL_SERVICE_NAME !== '' || /(^|,)\s*service\.name\s*=/.test(OTEL_RESOURCE_ATTRIBUTES)
