import { randomFillSync } from 'node:crypto'
import { isSpanContextValid, type Span, type SpanContext, SpanKind, trace } from '@opentelemetry/api'
import { isTraced, messagingAttributes, traceparentOf } from '@esteira/service/trace'
import { jobAttributes } from './job-attributes.ts'
import { noSpan, tracer } from './tracer.ts'

/** The root of a job's trace. `created` is to be ended when the job's row has committed: otherwise there is no such job. */
export type Root = { traceparent: string; created: Span }

/**
 * Begins the trace of a job that is about to be written: every job is a trace of its own, and the sampler decides here
 * whether it is recorded. It links to what brought the job about: the attempt of its parent, or what began its run, such
 * as the request whose span is active.
 */
export const beginTrace = (
  job: { id: string; runId: string; stepId: string },
  functionName: string,
  cause: SpanContext | undefined,
): Root => {
  if (!isTraced()) return { traceparent: unrecorded(), created: noSpan }
  const from = cause ?? trace.getActiveSpan()?.spanContext()
  const created = tracer.startSpan(`create ${functionName}`, {
    root: true,
    kind: SpanKind.PRODUCER,
    attributes: { ...messagingAttributes('create', { routingKey: functionName }), ...jobAttributes(job) },
    links: from === undefined ? [] : [{ context: from }],
  })
  const place = created.spanContext()
  return { traceparent: isSpanContextValid(place) ? traceparentOf(place) : unrecorded(), created }
}

/** Where nobody traces, the ids still tie the log lines of a job together; the flags say that nothing is recorded. */
const unrecorded = (): string => {
  const ids = randomHex()
  return `00-${ids.slice(0, 32)}-${ids.slice(32)}-00`
}

const idBytes = 24
/** Random bytes in stock: to ask for those of one job costs 4 us, and a fan-out asks a million times. */
const stock = Buffer.alloc(idBytes * 128)
let used = stock.length

const randomHex = (): string => {
  if (used === stock.length) {
    randomFillSync(stock)
    used = 0
  }
  used += idBytes
  return stock.toString('hex', used - idBytes, used)
}
