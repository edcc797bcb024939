import { Socket } from 'node:net'
import pg from 'pg'
import pgListen from 'pg-listen'
import { within } from '../within.ts'

/** One session of pg-listen. It does not come back: who wants another one opens it, and so can end the wait for it. */
export type BellSession = {
  /** @throws What Postgres says, or the way to it. */
  connect: () => Promise<void>
  /** @throws What Postgres says. */
  listenTo: (channel: string) => Promise<void>
  /** @throws What Postgres says. */
  unlisten: (channel: string) => Promise<void>
  /** Resolves when it has ended by itself. What was asked of it fails, and says why. */
  ended: Promise<void>
  /** Breaks it, also before it has begun. */
  destroy: () => void
  /** Ends it in order, if the server answers. Nothing of it is left then. */
  close: () => Promise<void>
}

const connectTimeoutMs = 10_000
const closeTimeoutMs = 1_000

/** How often pg-listen asks whether its session still lives. */
const checkMs = 15_000

/** How long an answer may take. Without it pg-listen would wait for ever for one of a server that is silent. */
const queryTimeoutMs = 8_000

/** `hear` is called with the channel of each notification. */
export const createBellSession = (
  { databaseUrl, lane }: { databaseUrl: string; lane: string },
  hear: (channel: string) => void,
): BellSession => {
  const socket = new Socket()
  const ended = Promise.withResolvers<void>()
  const subscriber = pgListen.default(
    {
      ...withOwnLimits(databaseUrl),
      application_name: `outbox bell ${lane}`,
      connectionTimeoutMillis: connectTimeoutMs,
      query_timeout: queryTimeoutMs,
      // Its check may come while it is asked for a channel, which pg announces to give up for sessions without it.
      pipeline: true,
      stream: () => socket,
    },
    // Its tries to come back cannot be ended: their pauses, and a server that says nothing, would keep the process alive. With
    // a limit of 1 it makes none.
    { retryLimit: 1, paranoidChecking: checkMs, parse: (payload) => payload },
  )
  subscriber.events.on('notification', ({ channel }) => hear(channel))
  // It says no more than that it did not come back.
  subscriber.events.on('error', () => ended.resolve())
  return {
    connect: () => subscriber.connect(),
    listenTo: async (channel) => void (await subscriber.listenTo(channel)),
    unlisten: async (channel) => void (await subscriber.unlisten(channel)),
    ended: ended.promise,
    destroy: () => void socket.destroy(),
    close: async () => {
      await within(closeTimeoutMs, subscriber.close())
      socket.destroy()
    },
  }
}

/**
 * A session that waits for rings is idle by its nature, whatever a role, the database or the user allows others. Since it
 * says nothing of itself for long, Postgres has to ask whether the machine at its other end is still there, seconds and
 * milliseconds: by itself a server keeps the session of one that is gone for two hours.
 */
const ownLimits =
  '-c idle_session_timeout=0 -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=2 -c tcp_user_timeout=8000'

/**
 * The limits are set as the session begins: pg-listen, which tells nobody that it has begun, has no other place for it. What
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
