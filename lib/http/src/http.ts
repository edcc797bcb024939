import { errors, Pool } from 'undici'
import { createPlaces } from './places.ts'
import { charsetOf, encodingOf, textOf } from './text-of.ts'

/** One HTTP call, before any API gave it a meaning. */
export type HttpRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path and query, beneath the base address. */
  path: string
  headers: Record<string, string>
  body?: string
}

/**
 * How a call ended. An answer is an answer whatever its status; see `classOf`. One of success whose bytes are not text
 * in the charset that it names, or in UTF-8 if it names none, is `undecodable`: half of it would look like the whole.
 * With an `encoding` it is compressed, though that was not asked for. A request that is no HTTP, as with a line break
 * in a header, is `unsendable`: nothing of it went out.
 */
export type HttpOutcome =
  | HttpAnswer
  | { kind: 'timeout'; deadlineMs: number }
  | { kind: 'too_large'; maxBytes: number }
  | { kind: 'undecodable'; status: number; bytes: number; charset: string; encoding: string | null }
  | { kind: 'unreachable'; cause: unknown }
  | { kind: 'unsendable'; reason: string }

/** What is no text in the body of another status than success is U+FFFD there: it says only why. */
export type HttpAnswer = { kind: 'answered'; status: number; headers: HttpHeaders; body: string }

/** The first value of a header, by its name in lower case. */
export type HttpHeaders = (name: string) => string | undefined

export type Http = {
  /**
   * Sends a request and reads the whole answer. Redirects are not followed, so no token goes to another host. Once a
   * connection is free for the call, `beforeSent` may wait for its turn of a rate limit, and gives headers that are not
   * to grow old until then.
   *
   * @throws the signal's reason once it is aborted, and what `beforeSent` throws.
   */
  send: (request: HttpRequest, signal: AbortSignal, beforeSent?: BeforeSent) => Promise<HttpOutcome>
  /** Breaks what is still under way and frees the connections. */
  close: () => Promise<void>
}

/** It makes no call of the same `Http`, which could wait for the connection that it holds itself. */
export type BeforeSent = () => Promise<HttpRequest['headers']>

export type HttpOptions = {
  /** http or https; a path in it comes before the path of every request. */
  baseUrl: string
  /** From the first byte sent to the last byte read, connecting included. */
  deadlineMs: number
  maxResponseBytes: number
  /** Connections at most; further calls wait for one, in order, before their deadline begins. 8 unless given. */
  connections?: number
}

/**
 * Calls to one server over kept connections, each with a deadline and a limit to the size of its answer. Nothing is tried
 * again: that is for who knows what a repetition does. Within a span each call is a span of its own, without its query.
 */
export const createHttp = ({ baseUrl, deadlineMs, maxResponseBytes, connections = 8 }: HttpOptions): Http => {
  const base = new URL(baseUrl)
  const pool = new Pool(base.origin, {
    connections,
    keepAliveTimeout: keepAliveMs,
    maxResponseSize: maxResponseBytes,
    // The deadline below covers every phase; undici's own timers (10 s to connect, 300 s for the rest) stay out of its way.
    connectTimeout: deadlineMs,
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const prefix = base.pathname.replace(/\/$/, '')
  const places = createPlaces(connections)

  const exchange = async ({ method, path, headers, body }: HttpRequest, signal: AbortSignal): Promise<HttpOutcome> => {
    signal.throwIfAborted()
    const deadline = AbortSignal.timeout(deadlineMs)
    try {
      // undici follows no redirects by itself.
      const response = await pool.request({
        method,
        path: prefix + path,
        // undici leaves compressed bodies as they are, so none is asked for.
        headers: { ...headers, 'accept-encoding': 'identity' },
        body: body ?? null,
        signal: AbortSignal.any([signal, deadline]),
      })
      const header = (name: string) => [response.headers[name]].flat().at(0)
      return read(response.statusCode, header, await response.body.bytes())
    } catch (cause) {
      signal.throwIfAborted()
      if (deadline.aborted) return { kind: 'timeout', deadlineMs }
      if (cause instanceof errors.ResponseExceededMaxSizeError) {
        return { kind: 'too_large', maxBytes: maxResponseBytes }
      }
      // It names the header, and does not quote it.
      if (cause instanceof errors.InvalidArgumentError) return { kind: 'unsendable', reason: cause.message }
      // The parser's own error quotes the bytes it could not read, and they may hold a token.
      if (cause instanceof errors.HTTPParserError) return { kind: 'unreachable', cause: new Error('no HTTP answer') }
      return { kind: 'unreachable', cause }
    }
  }

  return {
    // The connection first, then the turn, then the deadline: else, with a slow server, calls run out of time that it
    // never saw, and turns are taken long before they are used.
    send: async (request, signal, beforeSent = async () => ({})) => {
      const leave = await places.take(signal)
      try {
        const headers = { ...request.headers, ...(await beforeSent()) }
        return await exchange({ ...request, headers }, signal)
      } finally {
        leave()
      }
    },
    close: () => pool.destroy(),
  }
}

const read = (status: number, headers: HttpHeaders, bytes: Uint8Array): HttpOutcome => {
  const charset = charsetOf(headers('content-type'))
  const body = textOf(bytes, charset)
  if (body !== null) return { kind: 'answered', status, headers, body }
  if (status < 300) {
    return {
      kind: 'undecodable',
      status,
      bytes: bytes.length,
      charset,
      encoding: encodingOf(headers('content-encoding')),
    }
  }
  return { kind: 'answered', status, headers, body: new TextDecoder().decode(bytes) }
}

/** A little longer than the pauses between the pages of a read; a server that says less in its `keep-alive` is heeded. */
const keepAliveMs = 30_000
