import { keepSpans } from '@esteira/test/traces'
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { beginSend } from './send-spans.ts'

const kept = keepSpans()
beforeEach(kept.forget)
afterAll(kept.stop)

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'
const message = (headers: Record<string, unknown>, to = { exchange: '', routingKey: 'Database.query' }) => ({
  messageId: 'message-1',
  headers,
  ...to,
})
const recorded = { traceparent: `00-${traceId}-${spanId}-01` }

test('a send is a span beneath the creation of its message, and says whose message it is', () => {
  const baggage = 'tenant=7,esteira.run.id=run-1,esteira.job.id=job-1,esteira.step.id=step-1'
  beginSend(message({ ...recorded, baggage }))?.({ kind: 'confirmed' })
  const [span] = kept.spans()
  expect(span).toMatchObject({
    name: 'send Database.query',
    kind: SpanKind.CLIENT,
    parentSpanContext: { traceId, spanId },
    links: [{ context: { traceId, spanId } }],
    status: { code: SpanStatusCode.UNSET },
  })
  expect(span?.attributes).toEqual({
    'messaging.system.name': 'rabbitmq',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': 'Database.query',
    'rabbitmq.destination.routing_key': 'Database.query',
    'messaging.message.id': 'message-1',
    'esteira.run.id': 'run-1',
    'esteira.job.id': 'job-1',
    'esteira.step.id': 'step-1',
    'esteira.outcome': 'confirmed',
  })
})

test('a send that is not confirmed is an error of its kind', () => {
  const reason = 'no queue takes it'
  beginSend(message(recorded))?.({ kind: 'refused', why: 'unroutable', of: 'destination', reason })
  beginSend(message(recorded, { exchange: 'orders', routingKey: 'new' }))?.({
    kind: 'unknown',
    cause: new Error('gone'),
  })
  expect(kept.spans()).toMatchObject([
    { attributes: { 'error.type': 'unroutable' }, status: { code: SpanStatusCode.ERROR, message: reason } },
    { name: 'send orders:new', attributes: { 'error.type': 'unconfirmed' }, status: { code: SpanStatusCode.ERROR } },
  ])
})

test.each([
  ['that is not recorded', { traceparent: `00-${traceId}-${spanId}-00` }],
  ['of nobody', {}],
  ['with something else', { traceparent: 7 }],
])('a message with a trace %s has no span', (_, headers) => {
  expect(beginSend(message(headers))).toBeUndefined()
  expect(kept.spans()).toEqual([])
})
