import { Socket } from 'node:net'
import { type Log, reasonOf } from '@esteira/service'
import { mustBeOneOf } from '@esteira/workflow'
import { Client, Pool } from 'pg'
import { DatabaseQueryError } from './errors.ts'
import { findLedger } from './ledger/find-ledger.ts'
import { createLedgerPruner } from './ledger/keep-pruned.ts'
import { parserOf } from './row-values.ts'

/** The databases that steps may name, each with a pool that opens when it is first used. */
export type Connections = {
  names: readonly string[]
  /**
   * Sessions of a database. Streams, which may be open for long, have some of their own, so that statements need not wait
   * for them.
   *
   * @throws DatabaseQueryError `connection_unknown` with the names that there are.
   */
  pool: (name: string, use?: Use) => Pool
  /** The ledger of a database, by its name there; from then on it is pruned. */
  ledger: (name: string) => Promise<string>
  /** Tells the server to cancel what a session is at, by the number that the server gave it. It never rejects. */
  cancel: (name: string, pid: number) => Promise<void>
  /** Breaks every session. What runs in one fails, so a database that does not answer holds nothing up. */
  sever: () => void
  close: () => Promise<void>
}

/** What a session is for. */
type Use = 'statements' | 'streams'

/** Sessions with one database, of which streams have some. */
const sessions = 10
const streamSessions = 3

/** Statements of one database at a time; more wait for their turn. */
export const poolSize = sessions - streamSessions
const waitMs = 30_000

/** A cancel comes over a session of its own: those of the pool may all be waiting. It is tried again, so not for long. */
const cancelMs = 5_000

/** A statement may take as long as its step allows, so only the link is asked for: it is lost after some 20 s of silence. */
const keepAliveMs = 10_000

/** How long what was applied is kept in the ledgers, days: no message of a job that old is still on its way. */
export const usualLedgerDays = 30

/** Keeps the pools of the connections that the environment gives, by name. */
export const openConnections = (
  urls: ReadonlyMap<string, string>,
  log: Log,
  { ledgerDays = usualLedgerDays }: { ledgerDays?: number } = {},
): Connections => {
  const pruner = createLedgerPruner(ledgerDays, log)
  const pools = new Map<string, Pool>()
  const severed = new AbortController()
  const urlOf = (name: string): string => {
    const url = urls.get(name)
    if (url === undefined) throw unknownConnection(name, [...urls.keys()])
    return url
  }
  const poolOf = (name: string, use: Use = 'statements'): Pool => {
    const key = `${use} of ${name}`
    const known = pools.get(key)
    if (known !== undefined) return known
    const pool = new Pool({
      connectionString: urlOf(name),
      max: use === 'streams' ? streamSessions : poolSize,
      // What is sent while an answer is awaited does not wait for it.
      pipeline: true,
      connectionTimeoutMillis: waitMs,
      keepAlive: true,
      keepAliveInitialDelayMillis: keepAliveMs,
      stream: () => new Socket({ signal: severed.signal }),
      application_name: 'database-query',
      types: { getTypeParser: parserOf },
    })
    // The next statement opens another; without a listener the lost link would end the process.
    pool.on('error', (error) => log.warn({ event: 'connection.lost', connection: name, reason: error.message }))
    // The same for a link that falls under a statement: the statement hears of it by itself.
    pool.on('connect', (client) => client.on('error', () => undefined))
    pools.set(key, pool)
    return pool
  }
  return {
    names: [...urls.keys()],
    pool: poolOf,
    ledger: async (name) => {
      const pool = poolOf(name)
      const ledger = await findLedger(pool)
      pruner.keepPruned(name, pool, ledger)
      return ledger
    },
    cancel: async (name, pid) => {
      const client = new Client({
        connectionString: urlOf(name),
        connectionTimeoutMillis: cancelMs,
        query_timeout: cancelMs,
        stream: () => new Socket({ signal: severed.signal }),
        application_name: 'database-query cancel',
      })
      // A link that falls is told by the statement as well.
      client.on('error', () => undefined)
      try {
        await client.connect()
        await client.query('select pg_cancel_backend($1)', [pid])
      } catch (error) {
        log.warn({ event: 'cancel.failed', connection: name, reason: reasonOf(error) })
      } finally {
        await client.end()
      }
    },
    sever: () => severed.abort(),
    close: async () => {
      await pruner.stop()
      await Promise.all([...pools.values()].map((pool) => pool.end()))
    },
  }
}

const unknownConnection = (name: string, known: readonly string[]): DatabaseQueryError => {
  const fault = known.length === 0 ? 'this worker has no connections' : mustBeOneOf(known, name)
  return new DatabaseQueryError(
    'connection_unknown',
    `config.connection: ${fault} (a connection is an ESTEIRA_CONNECTION_<NAME> variable of the worker)`,
  )
}
