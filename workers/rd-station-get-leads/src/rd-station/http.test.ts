import { createServer, type RequestListener } from 'node:http'
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import { createHttp, retryAfterMs, statusClass, type HttpOptions } from './http.ts'

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

test.each([
  ['ok', [200, 201, 204]],
  ['redirect', [301, 302, 304, 308]],
  ['unauthorized', [401]],
  ['throttled', [429]],
  ['temporary', [408, 425, 500, 502, 503, 504, 599]],
  ['final', [400, 403, 404, 410, 422]],
])('%s are the statuses %j', (expected, statuses) => {
  for (const status of statuses) expect(statusClass(status)).toBe(expected)
})

test.each([
  ['0', 0],
  ['120', 120_000],
  ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
  ['Wed, 31 Dec 2025 23:59:59 GMT', 0],
  ['-1', undefined],
  ['1.5', undefined],
  ['soon', undefined],
  ['', undefined],
  [undefined, undefined],
])('Retry-After %j is a wait of %j ms', (value, ms) => {
  expect(retryAfterMs(value, Date.UTC(2026, 0, 1))).toBe(ms)
})
