import { once } from 'node:events'
import type { RequestListener } from 'node:http'

/** Importing it reads every export, and so loads undici and HTTP/2: some 10 MiB that a relay has no use of. */
const { createServer } = process.getBuiltinModule('node:http')

/** What a process tells of itself to whoever looks after it. */
export type Health = {
  /** Whether it can do its work now. */
  isReady: () => boolean
  /** In the text format of Prometheus, version 0.0.4. */
  metrics: () => Promise<string>
}

/**
 * Serves `/healthz`, which answers as long as the process does, `/readyz` with 200 or 503, and `/metrics`, for as long as the
 * process lives by itself: neither the server nor its connections keep it alive.
 *
 * @throws What Node says when the address cannot be listened on.
 */
export const serveHealth = async (health: Health, host: string, port: number): Promise<void> => {
  const server = createServer(answerWith(health))
  server.on('connection', (socket) => socket.unref())
  server.listen(port, host)
  await once(server, 'listening')
  server.unref()
}

const answerWith =
  ({ isReady, metrics }: Health): RequestListener =>
  async (request, response) => {
    const answer = (status: number, text: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type }).end(text)
    switch (request.url) {
      case '/healthz':
        return answer(200, 'ok\n')
      case '/readyz':
        return isReady() ? answer(200, 'ready\n') : answer(503, 'not ready\n')
      case '/metrics':
        try {
          return answer(200, await metrics(), 'text/plain; version=0.0.4; charset=utf-8')
        } catch (error) {
          return answer(503, `${error instanceof Error ? error.message : String(error)}\n`)
        }
      default:
        return answer(404, 'there are /healthz, /readyz and /metrics\n')
    }
  }
