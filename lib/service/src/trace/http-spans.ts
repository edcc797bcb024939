import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'

/** What undici, and with it `fetch`, tells of a call. */
type Call = { origin: string; path: string; method: string }

const tracer = trace.getTracer('@esteira/service')

/**
 * Makes a span of each HTTP call by undici or `fetch` that is made within another span, whichever function makes it, by the
 * conventions for HTTP clients (1.45.0). The query is left out of the address: it may hold anybody's data. Nothing is put
 * into the call, since other companies' services are no part of these traces. Returns what ends it.
 */
export const watchHttp = (): (() => void) => {
  const spans = new WeakMap<object, Span>()

  const begin = (request: object): void => {
    // Calls of the SDK itself, and of whatever else is not at work for a job, have none.
    if (!isCall(request) || trace.getActiveSpan()?.isRecording() !== true) return
    spans.set(request, tracer.startSpan(request.method, { kind: SpanKind.CLIENT, attributes: attributesOf(request) }))
  }
  const answer = (request: object, { response }: Fields): void => {
    const status = typeof response === 'object' && response !== null ? Reflect.get(response, 'statusCode') : undefined
    const span = spans.get(request)
    if (span === undefined || typeof status !== 'number') return
    span.setAttribute('http.response.status_code', status)
    if (status >= 400) fail(span, String(status))
  }
  const end = (request: object): void => {
    spans.get(request)?.end()
    spans.delete(request)
  }
  const endFailed = (request: object, { error }: Fields): void => {
    const span = spans.get(request)
    // Messages of the parser quote what it could not read, so it is the name or the code that is told.
    if (span !== undefined) fail(span, nameOf(error))
    end(request)
  }

  const listeners = [
    on('undici:request:create', begin),
    on('undici:request:headers', answer),
    on('undici:request:trailers', end),
    on('undici:request:error', endFailed),
  ]
  return () => {
    for (const stop of listeners) stop()
  }
}

type Fields = Record<string, unknown>

const on = (channel: string, hear: (request: object, fields: Fields) => void): (() => void) => {
  const listener = (message: unknown): void => {
    if (typeof message !== 'object' || message === null) return
    const fields: Fields = { ...message }
    if (typeof fields.request === 'object' && fields.request !== null) hear(fields.request, fields)
  }
  subscribe(channel, listener)
  return () => {
    unsubscribe(channel, listener)
  }
}

const isCall = (request: object): request is Call =>
  'origin' in request &&
  'path' in request &&
  typeof request.path === 'string' &&
  'method' in request &&
  typeof request.method === 'string' &&
  URL.canParse(String(request.origin))

const attributesOf = ({ method, origin, path }: Call) => {
  const { protocol, hostname, port } = new URL(origin)
  const withoutQuery = path.replace(/[?#].*$/s, '')
  return {
    'http.request.method': method,
    'url.full': `${new URL(origin).origin}${withoutQuery}`,
    'server.address': hostname,
    'server.port': port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
  }
}

const fail = (span: Span, type: string): void => {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

const nameOf = (error: unknown): string => {
  if (!(error instanceof Error)) return '_OTHER'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
