import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { getRequestListener } from '@hono/node-server'
import { ControlPlaneError } from '../errors.ts'

/**
 * What serves: `url` is where. `stop` goes on answering for up to two seconds, and has clients leave their connections,
 * then waits for the requests that are under way.
 */
export type Serving = { url: string; stop: () => Promise<void> }

type ServeOptions = {
  fetch: (request: Request) => Response | Promise<Response>
  host: string
  /** 0 takes a free one. */
  port: number
  /** How long requests may take to end after `stop`. */
  graceMs: number
}

/**
 * Serves an app over HTTP.
 *
 * @throws ControlPlaneError `address_in_use` when somebody else listens there.
 */
export const serve = async ({ fetch, host, port, graceMs }: ServeOptions): Promise<Serving> => {
  const listener = getRequestListener(fetch)
  let isStopping = false
  const server = createServer((request, response) => {
    if (isStopping) response.shouldKeepAlive = false
    void listener(request, response)
  })
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause) || cause.code !== 'EADDRINUSE') throw cause
    const message = `${host}:${port} is in use; free it or set ESTEIRA_HTTP_PORT`
    throw new ControlPlaneError('address_in_use', message, { cause })
  }
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    stop: async () => {
      isStopping = true
      const late = setTimeout(() => server.closeAllConnections(), graceMs)
      await untilLeft(server, Math.min(leavingMs, graceMs / 2))
      await promisify(server.close.bind(server))()
      clearTimeout(late)
    },
  }
}

/** Nearly every client that keeps its connection asks again within this. */
const leavingMs = 2_000

/**
 * Waits until no client is connected. To close a connection that is kept alive breaks a request that is on its way, so
 * each client is asked to, by `Connection: close` in its next answer.
 */
const untilLeft = async (server: Server, mostMs: number): Promise<void> => {
  const connections = promisify(server.getConnections.bind(server))
  const deadline = performance.now() + mostMs
  while (performance.now() < deadline && (await connections()) > 0) await delay(20)
}
