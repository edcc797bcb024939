import type { OnSend } from '@esteira/outbox/relay'
import { contextAt, destinationName, isSampled, messagingAttributes, spanContextOf } from '@esteira/service/trace'
import { type Attributes, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'

const tracer = trace.getTracer('@esteira/sidecar')

/**
 * Begins the span of a message's way to the broker, in the trace that its header names. The header goes out as it came, so
 * whoever processes the message continues the trace beside this span. A message that nobody records costs a look at it.
 */
export const beginSend: OnSend = ({ messageId, headers, ...to }) => {
  const { traceparent, baggage } = headers
  const created = typeof traceparent === 'string' ? spanContextOf(traceparent) : undefined
  if (created === undefined || !isSampled(created)) return undefined
  const span = tracer.startSpan(
    `send ${destinationName(to)}`,
    {
      // Its own place is not what the message carries: by the conventions that makes it a client's.
      kind: SpanKind.CLIENT,
      attributes: { ...messagingAttributes('send', to), 'messaging.message.id': messageId, ...esteiraIn(baggage) },
      links: [{ context: created }],
    },
    contextAt(created),
  )
  return (outcome) => {
    span.setAttribute('esteira.outcome', outcome.kind)
    if (outcome.kind !== 'confirmed') {
      span.setAttribute('error.type', outcome.kind === 'refused' ? outcome.why : 'unconfirmed')
      span.setStatus({ code: SpanStatusCode.ERROR, ...(outcome.kind === 'refused' ? { message: outcome.reason } : {}) })
    }
    span.end()
  }
}

/** Whose message it is, as its writer has put it into the baggage; others' entries are not ours to tell. */
const esteiraIn = (baggage: unknown): Attributes =>
  typeof baggage === 'string'
    ? Object.fromEntries(
        [...baggage.matchAll(/(?:^|,)(esteira\.[\w.]+)=([\w-]+)/g)].map(([, name, value]) => [name, value]),
      )
    : {}
