import { once } from 'node:events'
import { mkdtempSync, readFileSync } from 'node:fs'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Agent, createServer, request } from 'node:https'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '@esteira/dev/stack'
import { createAuthority } from './certificates.ts'
import { leadElsewhere, serverOf } from './kubeconfig.ts'

/** A request as the proxy sees it. */
export type SeenRequest = {
  method: string
  /** Such as `/apis/batch/v1/namespaces/mine/cronjobs`. */
  path: string
  query: URLSearchParams
  isWatch: boolean
}

/** What becomes of a request. */
export type Trouble =
  /** It is answered at once and never gets to the API server. */
  | { kind: 'answer'; status: number; headers?: OutgoingHttpHeaders; body?: object }
  /** It is handed on after a while. */
  | { kind: 'delay'; ms: number }
  /** Nothing more of its answer comes, and the connection stays. */
  | { kind: 'hang' }
  /** The connection breaks; the API server has not seen it, unless it was under way. */
  | { kind: 'cut' }
  /** The API server has carried it out, and the connection breaks before a word of the answer. */
  | { kind: 'lose' }
  /** Its answer comes in small pieces, with a pause after each. */
  | { kind: 'trickle'; bytes: number; pauseMs: number }

/** A trouble that holds for the requests that it is for. */
export type Standing = {
  /** How many it has met. */
  met: () => number
  /** What it holds back passes, and requests from now on. */
  lift: () => void
}

/** A way to an API server that a test can make trouble on. */
export type TamperingProxy = {
  /** The given access, by way of the proxy. */
  kubeconfig: string
  /** What came so far, oldest first. */
  requests: () => readonly SeenRequest[]
  /**
   * Makes trouble for requests from now on, `times` of them at most; `hang` and `cut` also for those that are under way.
   * Of several that are for a request the latest counts.
   */
  make: (trouble: Trouble, isFor: (request: SeenRequest) => boolean, times?: number) => Standing
  /** Breaks every connection, and refuses new ones until it is back. */
  leave: () => Promise<void>
  comeBack: () => Promise<void>
  /** How many watches are open. */
  watches: () => number
  stop: () => Promise<void>
}

/** A refusal in the API server's own words, `429` with how long to wait if that is given. */
export const refusal = (
  status: number,
  reason: string,
  message: string,
  retryAfterSeconds?: number,
): Extract<Trouble, { kind: 'answer' }> => ({
  kind: 'answer',
  status,
  ...(retryAfterSeconds === undefined ? {} : { headers: { 'retry-after': String(retryAfterSeconds) } }),
  body: {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    reason,
    message,
    code: status,
    ...(retryAfterSeconds === undefined ? {} : { details: { retryAfterSeconds } }),
  },
})

/** Whether a request is a watch, of CronJobs or whatever else is named. */
export const watchOf =
  (resource: string) =>
  ({ isWatch, path }: SeenRequest): boolean =>
    isWatch && path.split('/').includes(resource)

/** A request that is under way; `over` is aborted, and `gone` resolves, when the client has its answer or has left. */
type Exchange = { seen: SeenRequest; response: ServerResponse; over: AbortSignal; gone: Promise<unknown> }

/** A standing trouble, with the exchanges that it has met. */
type Rule = {
  trouble: Trouble
  isFor: (request: SeenRequest) => boolean
  left: number
  met: number
  exchanges: Set<Exchange>
}

/**
 * Starts a proxy on loopback in front of the API server that a kubeconfig leads to. It ends TLS, so that accounts of
 * client certificates do not get through, only tokens. `folder` is where its files are put.
 */
export const startTamperingProxy = async (options: {
  kubeconfig: string
  openssl: string
  folder: string
}): Promise<TamperingProxy> => {
  const folder = mkdtempSync(join(options.folder, 'proxy-'))
  const own = await createAuthority(options.openssl, folder)
  const serving = await own.issue({ name: 'proxy', subject: '/CN=proxy', hosts: ['127.0.0.1'] })
  const { server: target, authority } = serverOf(options.kubeconfig)
  const agent = new Agent({ keepAlive: true, ...(authority === undefined ? {} : { ca: authority }) })
  const requests: SeenRequest[] = []
  const underWay = new Set<Exchange>()
  const sockets = new Set<Duplex>()
  let rules: Rule[] = []
  let lifted = Promise.withResolvers<void>()

  /** Waits while a rule holds this exchange back. */
  const free = async (exchange: Exchange): Promise<void> => {
    while (rules.some(({ trouble, exchanges }) => trouble.kind === 'hang' && exchanges.has(exchange))) {
      await Promise.race([lifted.promise, exchange.gone])
      exchange.over.throwIfAborted()
    }
  }

  const ruleFor = (exchange: Exchange): Rule | undefined => {
    const rule = rules.findLast(({ left, isFor }) => left > 0 && isFor(exchange.seen))
    if (rule !== undefined) meet(rule, exchange)
    return rule
  }

  const handle = async (asked: IncomingMessage, exchange: Exchange): Promise<void> => {
    const { response, over } = exchange
    const trouble = ruleFor(exchange)?.trouble
    if (trouble?.kind === 'cut') {
      response.destroy()
      return
    }
    if (trouble?.kind === 'answer') {
      asked.resume()
      response.writeHead(trouble.status, { 'content-type': 'application/json', ...trouble.headers })
      response.end(trouble.body === undefined ? '' : `${JSON.stringify(trouble.body)}\n`)
      return
    }
    if (trouble?.kind === 'delay') await delay(trouble.ms, undefined, { signal: over })
    const answer = await handOn(asked, { target, agent, over })
    if (trouble?.kind === 'lose') {
      response.destroy()
      return
    }
    await free(exchange)
    response.writeHead(answer.statusCode ?? 502, withoutHops(answer.headers))
    response.flushHeaders()
    const pace = trouble?.kind === 'trickle' ? trouble : { bytes: Number.POSITIVE_INFINITY, pauseMs: 0 }
    for await (const chunk of answer) {
      for (const piece of piecesOf(chunk, pace.bytes)) {
        await free(exchange)
        if (!response.write(piece)) await once(response, 'drain', { signal: over })
        if (pace.pauseMs > 0) await delay(pace.pauseMs, undefined, { signal: over })
      }
    }
    await free(exchange)
    response.end()
  }

  const server = createServer(
    { cert: readFileSync(serving.certificate), key: readFileSync(serving.key) },
    (asked, response) => {
      const over = new AbortController()
      const exchange = { seen: lookAt(asked), response, over: over.signal, gone: once(over.signal, 'abort') }
      requests.push(exchange.seen)
      underWay.add(exchange)
      response.once('close', () => {
        underWay.delete(exchange)
        over.abort()
      })
      // What goes wrong here is the client's leaving or the server's: either way the connection breaks.
      handle(asked, exchange).catch(() => response.destroy())
    },
  )
  // As long as an API server leaves a connection that nobody uses.
  server.keepAliveTimeout = 180_000
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
  })
  const port = await freePort()
  const listen = async () => {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const leave = async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  await listen()

  return {
    kubeconfig: leadElsewhere(join(folder, 'kubeconfig'), {
      from: options.kubeconfig,
      server: `https://127.0.0.1:${port}`,
      authority: own.certificate,
    }),
    requests: () => requests,
    make: (trouble, isFor, times = Number.POSITIVE_INFINITY) => {
      const rule: Rule = { trouble, isFor, left: times, exchanges: new Set(), met: 0 }
      rules.push(rule)
      if (trouble.kind === 'hang' || trouble.kind === 'cut') {
        for (const exchange of underWay) {
          if (rule.left === 0 || !isFor(exchange.seen)) continue
          meet(rule, exchange)
          if (trouble.kind === 'cut') exchange.response.destroy()
        }
      }
      return {
        met: () => rule.met,
        lift: () => {
          rules = rules.filter((other) => other !== rule)
          lifted.resolve()
          lifted = Promise.withResolvers()
        },
      }
    },
    leave,
    comeBack: listen,
    watches: () => [...underWay].filter(({ seen }) => seen.isWatch).length,
    stop: async () => {
      if (server.listening) await leave()
      agent.destroy()
    },
  }
}

const meet = (rule: Rule, exchange: Exchange): void => {
  rule.left -= 1
  rule.met += 1
  rule.exchanges.add(exchange)
}

const lookAt = ({ method = 'GET', url = '/' }: IncomingMessage): SeenRequest => {
  const { pathname, searchParams } = new URL(url, 'https://proxy')
  return {
    method,
    path: pathname,
    query: searchParams,
    isWatch: ['true', '1'].includes(searchParams.get('watch') ?? ''),
  }
}

/** Asks the API server the same; its answer, as it begins. */
const handOn = async (
  asked: IncomingMessage,
  { target, agent, over }: { target: string; agent: Agent; over: AbortSignal },
): Promise<IncomingMessage> => {
  const url = new URL(asked.url ?? '/', target)
  const headers = { ...withoutHops(asked.headers), host: url.host }
  over.throwIfAborted()
  const own = request(url, { method: asked.method, headers, agent })
  // A signal among the options would be the socket's as well, which outlives the request that it was opened for.
  over.addEventListener('abort', () => own.destroy(), { once: true })
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  own.once('response', resolve)
  // Also after the answer began; what reads it then is told as well.
  own.on('error', reject)
  asked.pipe(own)
  return promise
}

/** Headers that are about one connection and not about the request. */
const withoutHops = (headers: OutgoingHttpHeaders): OutgoingHttpHeaders =>
  Object.fromEntries(
    Object.entries(headers).filter(([name]) => !['connection', 'keep-alive', 'transfer-encoding'].includes(name)),
  )

const piecesOf = function* (chunk: Buffer, bytes: number): Generator<Buffer> {
  for (let from = 0; from < chunk.length; from += bytes) yield chunk.subarray(from, from + bytes)
}
