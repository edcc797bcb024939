import { nearest, type Log } from '@esteira/service'
import { Pool, types } from 'pg'
import { DatabaseQueryError } from './errors.ts'

/** The databases that steps may name, each with a pool that opens when it is first used. */
export type Connections = {
  /** @throws DatabaseQueryError `connection_unknown` with the nearest name. */
  pool: (name: string) => Pool
  close: () => Promise<void>
}

/** Statements of one database at a time; more wait for their turn. */
const poolSize = 10
const waitMs = 30_000

/** Keeps the pools of the connections that the environment gives, by name. */
export const openConnections = (urls: ReadonlyMap<string, string>, log: Log): Connections => {
  const pools = new Map<string, Pool>()
  return {
    pool: (name) => {
      const known = pools.get(name)
      if (known !== undefined) return known
      const url = urls.get(name)
      if (url === undefined) throw unknownConnection(name, [...urls.keys()])
      const pool = new Pool({
        connectionString: url,
        max: poolSize,
        connectionTimeoutMillis: waitMs,
        application_name: 'database-query',
        types: { getTypeParser: parserOf },
      })
      // The next statement opens another; without a listener the lost link would end the process.
      pool.on('error', (error) => log.warn({ event: 'connection.lost', connection: name, reason: error.message }))
      // The same for a link that falls under a statement: the statement hears of it by itself.
      pool.on('connect', (client) => client.on('error', () => undefined))
      pools.set(name, pool)
      return pool
    },
    close: async () => {
      await Promise.all([...pools.values()].map((pool) => pool.end()))
    },
  }
}

/**
 * Types whose values go on as Postgres writes them, and so come back the same from the next step. pg would make dates in
 * the worker's time zone of them, and objects that are no JSON. By oid: bytea, date, timestamp, timestamptz, interval,
 * and their arrays.
 */
const textTypes: ReadonlySet<number> = new Set([17, 1082, 1114, 1184, 1186, 1001, 1182, 1115, 1185, 1187])

const parserOf: typeof types.getTypeParser = (
  oid: Parameters<typeof types.getTypeParser>[0],
  format?: 'text' | 'binary',
) => (textTypes.has(oid) ? (value: string) => value : types.getTypeParser(oid, format))

const unknownConnection = (name: string, known: readonly string[]): DatabaseQueryError => {
  const hint = known.length === 0 ? 'this worker has none' : `did you mean "${nearest(name, known)}"?`
  return new DatabaseQueryError(
    'connection_unknown',
    `config.connection: there is no connection "${name}", ${hint} A connection is an ESTEIRA_CONNECTION_<NAME> variable of the worker.`,
  )
}
