import { Socket } from 'node:net'
import pg from 'pg'
import pgListen from 'pg-listen'
import { reasonOf } from '../../errors.ts'
import { backoffMs, reconnectBackoff } from '../backoff.ts'
import type { RelaySettings } from '../options.ts'
import { takesNoWrites } from '../own/control-session.ts'
import { within } from '../within.ts'

/** The session that hears the lanes' doorbells. Losing it costs only latency: the poll finds the rows. */
export type Listener = {
  /** Resolves when it has listened for the first time. */
  listening: Promise<void>
  /** Rings for every notification of the lane, and after each time in which none could be heard. */
  add: (lane: number, ring: () => void) => void
  remove: (lane: number) => void
  /** Has it begin its session anew, as where another one has gone silent, unless it did so since then (`performance.now()`). */
  renew: (sinceMs: number) => void
  close: () => Promise<void>
}

const connectTimeoutMs = 10_000
const closeTimeoutMs = 1_000

/** How often pg-listen asks whether its session still lives. It also finds a session that died while it came back. */
const checkMs = 15_000

/** How long an answer may take. Without it pg-listen would wait for ever for one of a server that is silent. */
const queryTimeoutMs = 8_000

/**
 * Listens on `outbox_lane_<lane>` for each lane. pg-listen comes back by itself after a loss, but not where the server
 * takes the session and no LISTEN, as a standby does: such a session is ended here, later and later.
 */
export const startListener = ({ databaseUrl, lane: name, observe }: RelaySettings): Listener => {
  const listening = Promise.withResolvers<void>()
  const rings = new Map<string, () => void>()
  let closed = false
  let socket: Socket | null = null
  const subscriber = pgListen.default(
    {
      ...withOwnLimits(databaseUrl),
      application_name: `outbox bell ${name}`,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: queryTimeoutMs,
      // After a loss pg-listen asks for all channels at once, which pg announces to give up for sessions without it.
      pipeline: true,
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
  /** How often in a row Postgres took the session and no LISTEN. */
  let deaf = 0
  /** All that was asked of a session fails with it, each for the same reason. */
  let told: string | null = null
  let heardAtMs = Number.NEGATIVE_INFINITY
  const say = (reason: string) => {
    if (closed || reason === told) return
    told = reason
    observe({ kind: 'bell.lost', reason })
  }
  const fail = (error: unknown) => {
    say(reasonOf(error))
    if (!takesNoWrites(error)) return
    const failed = socket
    deaf += 1
    setTimeout(() => failed?.destroy(), backoffMs(deaf, reconnectBackoff)).unref()
  }
  const heard = () => {
    deaf = 0
    told = null
    heardAtMs = performance.now()
    observe({ kind: 'bell.listening' })
    // Whatever was written while nobody listened rang for nobody.
    for (const ring of rings.values()) ring()
    listening.resolve()
  }
  const close = async () => {
    closed = true
    // A server that does not answer must not keep the process alive.
    if (!(await within(closeTimeoutMs, subscriber.close()))) socket?.destroy()
  }
  const tell = async (work: Promise<unknown>) => {
    try {
      await work
    } catch (error) {
      fail(error)
    }
  }
  // One statement at a time.
  let last: Promise<unknown> = listening.promise
  const inTurn = (work: () => Promise<unknown> | undefined) => {
    last = tell(last.then(work))
  }
  subscriber.events.on('notification', ({ channel }) => rings.get(channel)?.())
  subscriber.events.on('reconnect', (attempt) => say(`the session ended, attempt ${attempt} to listen again`))
  subscriber.events.on('error', (error) => fail(error))
  const start = async () => {
    await tell(subscriber.connect().then(heard))
    // From the second time on pg-listen says so itself, after it has listened again.
    subscriber.events.on('connected', () => (closed ? void close() : heard()))
  }
  void start()
  return {
    listening: listening.promise,
    add: (lane, ring) => {
      const channel = channelOf(lane)
      rings.set(channel, ring)
      inTurn(async () => {
        await subscriber.listenTo(channel)
        ring()
      })
    },
    remove: (lane) => {
      const channel = channelOf(lane)
      rings.delete(channel)
      inTurn(() => subscriber.unlisten(channel))
    },
    renew: (sinceMs) => {
      if (heardAtMs < sinceMs) socket?.destroy()
    },
    close,
  }
}

const channelOf = (lane: number): string => `outbox_lane_${lane}`

/** A session that waits for rings is idle by its nature, whatever a role, the database or the user allows others. */
const ownLimits = '-c idle_session_timeout=0'

/**
 * The limit is set as the session begins: pg-listen, which begins it anew after each loss, has no other place for it. What
 * the user asks for, in the address or in PGOPTIONS, is kept before it: of two settings of a name Postgres takes the last
 * one, and so does pg of two members of an address.
 */
const withOwnLimits = (databaseUrl: string): { connectionString: string; options: string } => {
  const options = `${optionsOf(databaseUrl)} ${ownLimits}`.trimStart()
  // The folder of a socket and a database, as pg takes them, have no members.
  if (databaseUrl.startsWith('/')) return { connectionString: databaseUrl, options }
  const joint = databaseUrl.includes('?') ? '&' : '?'
  return { connectionString: `${databaseUrl}${joint}options=${encodeURIComponent(options)}`, options }
}

/** As pg reads them, which takes more for an address than a URL can be. */
const optionsOf = (databaseUrl: string): string => {
  const parameters: unknown = Reflect.get(new pg.Client(databaseUrl), 'connectionParameters')
  const options: unknown = typeof parameters === 'object' && parameters !== null && Reflect.get(parameters, 'options')
  return typeof options === 'string' ? options : ''
}
