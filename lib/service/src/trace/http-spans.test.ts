import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { keepSpans } from '@esteira/test/traces'
import { type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { watchHttp } from './http-spans.ts'

const kept = keepSpans()
const unwatch = watchHttp()
let server: Server
let origin: string
const headersSeen: unknown[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    headersSeen.push(request.headers)
    if (request.url?.startsWith('/broken') === true) response.socket?.destroy()
    else response.writeHead(request.url?.startsWith('/missing') === true ? 404 : 200).end('body')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
})
beforeEach(kept.forget)
afterAll(async () => {
  unwatch()
  server.closeAllConnections()
  server.close()
  await kept.stop()
})

const tracer = trace.getTracer('test')

const within = <T>(work: (span: Span) => Promise<T>): Promise<T> =>
  tracer.startActiveSpan('function', async (span) => work(span).finally(() => span.end()))

const call = async (path: string, init?: RequestInit) => (await fetch(`${origin}${path}`, init)).text()

test('a call within a span is its child, with where it went and what came, and without its query', async () => {
  const parent = await within(async (span) => {
    await call('/contacts?token=t0ken', { method: 'POST', body: '{}' })
    return span.spanContext()
  })
  await expect
    .poll(() => kept.spans().find(({ kind }) => kind === SpanKind.CLIENT))
    .toMatchObject({
      name: 'POST',
      parentSpanContext: { spanId: parent.spanId, traceId: parent.traceId },
      attributes: {
        'http.request.method': 'POST',
        'http.response.status_code': 200,
        'url.full': `${origin}/contacts`,
        'server.address': '127.0.0.1',
        'server.port': Number(new URL(origin).port),
      },
      status: { code: SpanStatusCode.UNSET },
    })
  // Whoever is called is no part of our traces.
  expect(JSON.stringify(headersSeen)).not.toContain('traceparent')
})

test.each([
  ['/missing', '404'],
  ['/broken', 'UND_ERR_SOCKET'],
])('a call to %s that fails says %s', async (path, type) => {
  await within(() => call(path).catch(() => ''))
  await expect
    .poll(() => kept.spans().find(({ name }) => name === 'GET'))
    .toMatchObject({
      attributes: { 'error.type': type },
      status: { code: SpanStatusCode.ERROR },
    })
})

test('calls at the same time stay with the span that made them', async () => {
  const places = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      within(async (span) => {
        await call(`/of/${index}`)
        return span.spanContext()
      }),
    ),
  )
  await expect.poll(() => kept.spans().filter(({ name }) => name === 'GET').length).toBe(20)
  for (const [index, { traceId, spanId }] of places.entries()) {
    const own = kept.spans().find(({ attributes }) => attributes['url.full'] === `${origin}/of/${index}`)
    expect(own).toMatchObject({ parentSpanContext: { traceId, spanId } })
  }
})

test('a call that is made for no span has none', async () => {
  await call('/alone')
  expect(kept.spans()).toEqual([])
})
