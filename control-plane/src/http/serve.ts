import { once } from 'node:events'
import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { ControlPlaneError } from '../errors.ts'

/** What serves: `url` is where, `stop` waits for the requests that are under way. */
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
  const server = createServer((request, response) => void listener(request, response))
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
    stop: () =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => server.closeAllConnections(), graceMs)
        server.close((error) => {
          clearTimeout(late)
          if (error) reject(error)
          else resolve()
        })
      }),
  }
}
