import { contextAt, isTraced, spanContextOf } from '@esteira/service/trace'
import { type Attributes, context, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { routePath } from 'hono/route'

const tracer = trace.getTracer('@esteira/control-plane')

/** Whoever looks at a run asks again and again, and brings nothing about. */
const reading = new Set(['GET', 'HEAD'])

/**
 * Makes a span of each request that may change something, by the conventions for HTTP servers (1.45.0), in the trace of a
 * caller who sends a `traceparent`. The first job of a run that it begins links to it.
 */
export const traceRequests = createMiddleware(async (c, next) => {
  if (!isTraced() || reading.has(c.req.method)) return next()
  const caller = spanContextOf(c.req.header('traceparent') ?? '')
  const { method } = c.req
  const attributes = { 'http.request.method': method, 'url.path': c.req.path, 'url.scheme': schemeOf(c) }
  const parent = caller === undefined ? ROOT_CONTEXT : contextAt(caller)
  const span = tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent)
  try {
    await context.with(trace.setSpan(parent, span), next)
    tell(span, c)
  } finally {
    span.end()
  }
})

/** Says on the span of the request that is being answered whose it is. */
export const tellRequest = (attributes: Attributes): void => void trace.getActiveSpan()?.setAttributes(attributes)

/** An error has become an answer by now. */
const tell = (span: Span, c: Context): void => {
  const route = routePath(c, -1)
  // That of a request that nobody takes is what all of them go through.
  if (!route.endsWith('*')) span.updateName(`${c.req.method} ${route}`).setAttribute('http.route', route)
  const { status } = c.res
  span.setAttribute('http.response.status_code', status)
  if (status < 500) return
  span.setAttribute('error.type', String(status))
  span.setStatus({ code: SpanStatusCode.ERROR })
}

const schemeOf = (c: Context): string => new URL(c.req.url).protocol.slice(0, -1)
