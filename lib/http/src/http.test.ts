import { gzipSync } from 'node:zlib'
import { inspect } from 'node:util'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { keepSpans, watchHttp } from '@esteira/test/traces'
import { trace } from '@opentelemetry/api'
import { expect, onTestFinished, test } from 'vitest'
import { classOf } from './class-of.ts'
import { createHttp, type HttpOptions } from './http.ts'

const listen = async (server: Server): Promise<string> => {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server listens on no port')
  return `http://127.0.0.1:${address.port}`
}

const setup = (baseUrl: string, options: Partial<HttpOptions> = {}) => {
  const http = createHttp({ baseUrl, deadlineMs: 5_000, maxResponseBytes: 10_000, ...options })
  onTestFinished(http.close)
  const send = (signal: AbortSignal = new AbortController().signal) =>
    http.send({ method: 'GET', path: '/here?page=1', headers: { 'x-one': '1' } }, signal)
  return { http, send }
}

const serve = (listener: RequestListener) => listen(createServer(listener))

test('a request goes beneath the path of the base address, and an answer is one whatever its status', async () => {
  const url = await serve((request, response) => {
    response.statusCode = 418
    response.setHeader('x-two', ['a', 'b'])
    const { 'x-one': one, 'accept-encoding': encoding } = request.headers
    response.end([request.method, request.url, one, encoding].join(' '))
  })
  const { send } = setup(`${url}/api/`)
  const outcome = await send()
  expect(outcome).toMatchObject({ kind: 'answered', status: 418, body: 'GET /api/here?page=1 1 identity' })
  if (outcome.kind === 'answered') expect(outcome.headers('x-two')).toBe('a')
})

test('a redirect is an answer and is not followed', async () => {
  let requests = 0
  const url = await serve((_, response) => {
    requests += 1
    response.writeHead(302, { location: '/elsewhere' }).end()
  })
  expect(await setup(url).send()).toMatchObject({ kind: 'answered', status: 302 })
  expect(requests).toBe(1)
})

test('the deadline holds before the answer begins', async () => {
  const url = await serve(() => {})
  expect(await setup(url, { deadlineMs: 50 }).send()).toEqual({ kind: 'timeout', deadlineMs: 50 })
})

test('the deadline holds for an answer that begins and never ends', async () => {
  const url = await serve((_, response) => {
    response.write('{"contacts":')
  })
  expect(await setup(url, { deadlineMs: 50 }).send()).toEqual({ kind: 'timeout', deadlineMs: 50 })
})

test('the deadline holds for an answer that trickles', async () => {
  const url = await serve((_, response) => {
    const trickle = setInterval(() => response.write(' '), 10)
    response.on('close', () => clearInterval(trickle))
  })
  expect(await setup(url, { deadlineMs: 100 }).send()).toEqual({ kind: 'timeout', deadlineMs: 100 })
})

test('an answer that is too large is given up, with a length or without', async () => {
  for (const headers of [{ 'content-length': '10001' }, {}]) {
    const url = await serve((_, response) => {
      response.writeHead(200, headers).end('x'.repeat(10_001))
    })
    expect(await setup(url).send()).toEqual({ kind: 'too_large', maxBytes: 10_000 })
  }
  const url = await serve((_, response) => {
    response.end('x'.repeat(10_000))
  })
  expect(await setup(url).send()).toMatchObject({ kind: 'answered' })
})

const says = (contentType: string, bytes: Uint8Array, status = 200) =>
  serve((_, response) => {
    response.writeHead(status, { 'content-type': contentType }).end(bytes)
  })

test.each([
  ['application/json', Buffer.from('"Conceição"')],
  ['application/json', Buffer.from('\u{FEFF}"Conceição"')],
  ['application/json; charset=UTF-8', Buffer.from('"Conceição"')],
  ['text/json;charset="iso-8859-1"', Buffer.from('"Conceição"', 'latin1')],
  ['application/json; q=1; Charset = windows-1252 ; x=2', Buffer.from('"Conceição"', 'latin1')],
  ['application/json; charset=utf-16le', Buffer.from('"Conceição"', 'utf16le')],
])('a body is text in the charset of %s', async (contentType, bytes) => {
  expect(await setup(await says(contentType, bytes)).send()).toMatchObject({ kind: 'answered', body: '"Conceição"' })
})

test.each([
  ['application/json', 'utf-8'],
  ['application/json; charset=utf-8', 'utf-8'],
  ['application/json; charset=x-nobodys', 'x-nobodys'],
  ['application/json; charset=<ana@example.com>', 'utf-8'],
])('a body that is not text in the charset of %s is no answer', async (contentType, charset) => {
  const latin = Buffer.from('"Conceição"', 'latin1')
  expect(await setup(await says(contentType, latin)).send()).toEqual({
    kind: 'undecodable',
    status: 200,
    bytes: 11,
    charset,
    encoding: null,
  })
})

test.each([
  ['GZIP', 'gzip'],
  ['identity', null],
  ['<ana@example.com>', null],
])('of a body that is no text the content encoding %s is told as %j', async (header, encoding) => {
  const url = await serve((_, response) => {
    response.writeHead(200, { 'content-encoding': header })
    response.end(gzipSync('"Ana"'))
  })
  expect(await setup(url).send()).toMatchObject({ kind: 'undecodable', encoding })
})

test('another status than success is an answer, also with a body that is no text', async () => {
  const url = await says('text/html', Buffer.from('"NÃO":"INVALID_TOKEN"', 'latin1'), 401)
  expect(await setup(url).send()).toMatchObject({ kind: 'answered', status: 401, body: '"N\u{FFFD}O":"INVALID_TOKEN"' })
})

test('a connection that is refused, or cut in the middle of an answer, is unreachable', async () => {
  const cut = await serve((_, response) => {
    response.writeHead(200, { 'content-length': '100' })
    response.write('{', () => response.destroy())
  })
  expect(await setup(cut).send()).toMatchObject({ kind: 'unreachable' })
  const gone = createTcpServer()
  const refused = await listen(gone)
  await new Promise((resolve) => gone.close(resolve))
  expect(await setup(refused).send()).toMatchObject({ kind: 'unreachable', cause: { code: 'ECONNREFUSED' } })
})

test('an answer that is not HTTP is unreachable, and what came is not kept', async () => {
  const url = await listen(
    createTcpServer((socket) => {
      socket.on('data', () => socket.end('{"access_token":"secret"}'))
    }),
  )
  expect(await setup(url).send()).toEqual({ kind: 'unreachable', cause: new Error('no HTTP answer') })
})

test.each([
  ['authorization', 'Bearer of-a-file\n'],
  ['authorization', 'Bearer of-a-file €'],
  ['x one', '1'],
])(
  'a request with a header that HTTP cannot hold, %s: %j, is told as that, and not as a server that is away',
  async (...header) => {
    let requests = 0
    const url = await serve((_, response) => {
      requests += 1
      response.end()
    })
    const { http } = setup(url)
    const request = { method: 'GET', path: '/', headers: Object.fromEntries([header]) } as const
    const outcome = await http.send(request, new AbortController().signal)
    expect(outcome).toEqual({ kind: 'unsendable', reason: expect.stringMatching(/^invalid .*header/) })
    expect(classOf(outcome)).toBe('final')
    expect(requests).toBe(0)
  },
)

test('an abort throws its reason, before the call and in the middle of it', async () => {
  const arrived = Promise.withResolvers<void>()
  const url = await serve(() => arrived.resolve())
  const { send } = setup(url)
  const reason = new Error('the step was cancelled')
  await expect(send(AbortSignal.abort(reason))).rejects.toBe(reason)
  const cancel = new AbortController()
  const outcome = send(cancel.signal)
  await arrived.promise
  cancel.abort(reason)
  await expect(outcome).rejects.toBe(reason)
})

test('connections are kept: many calls, one after the other and at once, use no more than are allowed', async () => {
  const sockets = new Set<unknown>()
  const url = await serve((request, response) => {
    sockets.add(request.socket)
    setTimeout(() => response.end(), 5)
  })
  const { send } = setup(url, { connections: 3 })
  for (let call = 0; call < 20; call += 1) expect(await send()).toMatchObject({ kind: 'answered' })
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => send()))
  expect(outcomes.map(({ kind }) => kind)).toEqual(Array.from({ length: 20 }, () => 'answered'))
  expect(sockets.size).toBe(3)
})

test('a call has its turn when a connection is free, and its whole deadline from then on', async () => {
  let requests = 0
  // The first is never answered.
  const url = await serve((request, response) => {
    requests += 1
    if (requests > 1) response.end(request.headers.turn)
  })
  const { http } = setup(url, { connections: 1, deadlineMs: 1_000 })
  const seen: number[] = []
  const call = () =>
    http.send({ method: 'GET', path: '/', headers: {} }, new AbortController().signal, async () => ({
      turn: String(seen.push(requests)),
    }))
  expect(await Promise.all([call(), call(), call()])).toMatchObject([
    { kind: 'timeout', deadlineMs: 1_000 },
    { kind: 'answered', body: '2' },
    { kind: 'answered', body: '3' },
  ])
  expect(seen).toEqual([0, 1, 2])
})

test('a call that is given up while it waits for a connection throws its reason, and holds up no other', async () => {
  const first = Promise.withResolvers<() => void>()
  let requests = 0
  const url = await serve((_, response) => {
    requests += 1
    if (requests > 1) response.end()
    else first.resolve(() => response.end())
  })
  const { send } = setup(url, { connections: 1 })
  const cancel = new AbortController()
  const calls = [send(), send(cancel.signal), send()] as const
  const reason = new Error('the step was cancelled')
  cancel.abort(reason)
  await expect(calls[1]).rejects.toBe(reason)
  const answerFirst = await first.promise
  answerFirst()
  expect(await Promise.all([calls[0], calls[2], send()])).toMatchObject([{}, {}, { kind: 'answered' }])
  expect(requests).toBe(3)
})

test('a connection is free again when what comes before the request fails', async () => {
  const { http, send } = setup(await serve((_, response) => response.end()), { connections: 1 })
  const noTurn = new Error('no turn')
  const failing = http.send({ method: 'GET', path: '/', headers: {} }, new AbortController().signal, () =>
    Promise.reject(noTurn),
  )
  await expect(failing).rejects.toBe(noTurn)
  expect(await send()).toMatchObject({ kind: 'answered' })
})

test('a call within a span is a span, which tells neither its query nor its headers', async () => {
  const kept = keepSpans()
  const unwatch = watchHttp()
  onTestFinished(async () => {
    unwatch()
    await kept.stop()
  })
  const url = await serve((_, response) => response.end('{"access_token":"of-the-answer"}'))
  const { http } = setup(url)
  const request = {
    method: 'POST',
    path: '/contacts?token=of-the-query',
    headers: { authorization: 'Bearer of-a-header' },
    body: 'secret=of-the-body',
  } as const
  await trace.getTracer('test').startActiveSpan('function', async (span) => {
    await http.send(request, new AbortController().signal)
    span.end()
  })
  await expect.poll(() => kept.spans().map(({ name }) => name)).toContain('POST')
  const call = kept.spans().find(({ name }) => name === 'POST')
  expect(call).toMatchObject({ attributes: { 'url.full': `${url}/contacts`, 'http.response.status_code': 200 } })
  const told = inspect(kept.spans(), { depth: 6 })
  for (const secret of ['of-the-query', 'of-a-header', 'of-the-body', 'of-the-answer'])
    expect(told).not.toContain(secret)
})
