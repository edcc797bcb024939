import { once } from 'node:events'
import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { createApp } from './app.ts'
import { createStandIn, type Credentials, type RdStationControl, type RdStationOptions } from './stand-in.ts'

export type RunningRdStation = {
  url: string
  /** What a client has to know to get an access token. */
  credentials: Credentials
  control: RdStationControl
  /** Answers what it is answering, within a second, and closes. Calling it again changes nothing. */
  stop: () => Promise<void>
}

/**
 * Starts the stand-in on 127.0.0.1, on a free port unless one is given.
 *
 * @throws what Node says of a port that cannot be had, such as EADDRINUSE.
 */
export const startRdStation = async (options: RdStationOptions & { port?: number } = {}): Promise<RunningRdStation> => {
  const { port = 0, ...rest } = options
  const standIn = createStandIn(rest)
  // Without the option it would replace the global Request and Response of the whole process.
  const listener = getRequestListener(createApp(standIn).fetch, { overrideGlobalObjects: false })
  const server = createServer((incoming, outgoing) => void listener(incoming, outgoing))
  server.listen(port, host)
  await once(server, 'listening')

  const close = async () => {
    const closed = once(server, 'close')
    server.close()
    const cut = setTimeout(() => server.closeAllConnections(), graceMs)
    await closed
    clearTimeout(cut)
  }
  let stopped: Promise<void> | undefined
  const address = server.address()
  const boundPort = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${host}:${boundPort}`,
    credentials: standIn.credentials,
    control: standIn.control,
    stop: () => (stopped ??= close()),
  }
}

const host = '127.0.0.1'
const graceMs = 1_000
