import { Socket } from 'node:net'
import pgListen from 'pg-listen'
import { reasonOf } from '../../errors.ts'
import { backoffMs, reconnectBackoff } from '../backoff.ts'
import type { Observe } from '../observation.ts'
import { within } from '../within.ts'

/** The session that hears a lane's doorbell. Losing it costs only latency: the poll finds the rows. */
export type Listener = {
  lane: number
  /** Resolves when it has listened for the first time. */
  listening: Promise<void>
  close: () => Promise<void>
}

type ListenerOptions = { databaseUrl: string; lane: number; laneName: string; onRing: () => void; observe: Observe }

const connectTimeoutMs = 10_000
const closeTimeoutMs = 1_000

/** How often pg-listen asks whether its session still lives. It also finds a session that died while it came back. */
const checkMs = 30_000

/** Listens on `outbox_lane_<lane>` and rings for every notification; pg-listen comes back by itself after a loss. */
export const startListener = ({ databaseUrl, lane, laneName, onRing, observe }: ListenerOptions): Listener => {
  const channel = `outbox_lane_${lane}`
  const listening = Promise.withResolvers<void>()
  let closed = false
  let socket: Socket | null = null
  const subscriber = pgListen.default(
    {
      connectionString: databaseUrl,
      application_name: `outbox bell ${laneName}`,
      connectionTimeoutMillis: connectTimeoutMs,
      stream: () => (socket = new Socket()),
    },
    {
      retryTimeout: 0,
      retryInterval: (attempt) => {
        // pg-listen looks for a server for ever, also after it was closed. What is thrown here ends that.
        if (closed) throw new Error('the listener was closed')
        return backoffMs(attempt + 1, reconnectBackoff)
      },
      paranoidChecking: checkMs,
    },
  )
  const heard = () => {
    // Whatever was written while nobody listened rang for nobody.
    observe({ kind: 'bell.listening', channel })
    onRing()
    listening.resolve()
  }
  const close = async () => {
    closed = true
    // A server that does not answer must not keep the process alive.
    if (!(await within(closeTimeoutMs, subscriber.close()))) socket?.destroy()
  }
  subscriber.events.on('notification', onRing)
  subscriber.events.on('reconnect', (attempt) => {
    if (!closed) observe({ kind: 'bell.lost', reason: `the session ended, attempt ${attempt} to listen again` })
  })
  subscriber.events.on('error', (error) => {
    if (!closed) observe({ kind: 'bell.lost', reason: reasonOf(error) })
  })
  const start = async () => {
    try {
      await Promise.all([subscriber.connect(), subscriber.listenTo(channel)])
      heard()
    } catch (error) {
      if (!closed) observe({ kind: 'bell.lost', reason: reasonOf(error) })
    }
    // From the second time on pg-listen says so itself, after it has listened again.
    subscriber.events.on('connected', () => (closed ? void close() : heard()))
  }
  void start()
  return { lane, listening: listening.promise, close }
}
