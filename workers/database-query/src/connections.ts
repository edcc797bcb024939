import { Socket } from 'node:net'
import { type Log, reasonOf } from '@esteira/service'
import { mustBeOneOf } from '@esteira/workflow'
import { Client, Pool } from 'pg'
import { type Target, targetOfAddress } from './address.ts'
import { DatabaseQueryError } from './errors.ts'
import { findLedger, forgetLedger } from './ledger/find-ledger.ts'
import { createLedgerPruner } from './ledger/keep-pruned.ts'
import { createResultMemory, type ResultMemory } from './result-memory.ts'
import { parserOf } from './row-values.ts'
import { sendCancel, type SessionKey } from './send-cancel.ts'

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
  /** How many statements a database has at a time; more wait for their turn. */
  atOnce: (name: string) => number
  /** How long a statement waits for a session, and a session for its transaction to begin and to commit, milliseconds. */
  waitMs: number
  /** How long the server waits for the next statement of a transaction before it ends the session, milliseconds. */
  silentMs: number
  /** For the rows of statements that may write, of all databases. */
  results: ResultMemory
  /** Whether its statements may read only. */
  isReadOnly: (name: string) => boolean
  /** The ledger of a database, by its name there; from then on it is pruned. */
  ledger: (name: string) => Promise<string>
  /** Has the ledger of a database looked for again when it is asked for. */
  forgetLedger: (name: string) => void
  /** Tells the server to cancel what a session is at. It never rejects. */
  cancel: (name: string, session: SessionKey) => Promise<void>
  /** Breaks every session. What runs in one fails, so a database that does not answer holds nothing up. */
  sever: () => void
  close: () => Promise<void>
}

/** What a session is for. */
type Use = 'statements' | 'streams'

/** Streams have the third part of a database's sessions, one at least. The only one is for all. */
const streamSessions = (sessions: number): number => (sessions === 1 ? 0 : Math.max(1, Math.floor(sessions / 3)))

/** A cancel is tried again, so not for long. */
const cancelMs = 5_000

/** A statement may take as long as its step allows, so only the link is asked for: it is lost after some 20 s of silence. */
const keepAliveMs = 10_000

/**
 * Longer than a worker needs between two statements: one that does nothing for 30 s ends itself. Only one that is frozen,
 * with its node perhaps, is still there by then.
 */
const usualSilentMs = 45_000

/** How long what was applied is kept in the ledgers, days: no message of a job that old is still on its way. */
export const usualLedgerDays = 30

type ConnectionsOptions = { ledgerDays?: number } & Partial<Pick<Connections, 'waitMs' | 'silentMs'>>

/** Keeps the pools of the connections that the environment gives, by name. */
export const openConnections = (
  addresses: ReadonlyMap<string, string>,
  log: Log,
  { ledgerDays = usualLedgerDays, waitMs = 30_000, silentMs = usualSilentMs }: ConnectionsOptions = {},
): Connections => {
  const targets = new Map([...addresses].map(([name, address]) => [name, targetOfAddress(address)]))
  const pruner = createLedgerPruner(ledgerDays, log)
  const pools = new Map<string, Pool>()
  const severed = new AbortController()
  const targetOf = (name: string): Target => {
    const target = targets.get(name)
    if (target === undefined) throw unknownConnection(name, [...targets.keys()])
    return target
  }
  const atOnce = (name: string): number => {
    const { sessions } = targetOf(name)
    return sessions - streamSessions(sessions)
  }
  const poolOf = (name: string, asked: Use = 'statements'): Pool => {
    const { url, sessions } = targetOf(name)
    const forStreams = streamSessions(sessions)
    const use = forStreams === 0 ? 'statements' : asked
    const key = `${use} of ${name}`
    const known = pools.get(key)
    if (known !== undefined) return known
    const pool = new Pool({
      connectionString: url,
      max: use === 'streams' ? forStreams : atOnce(name),
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
  const connections: Connections = {
    names: [...targets.keys()],
    atOnce,
    waitMs,
    silentMs,
    results: createResultMemory(),
    isReadOnly: (name) => targetOf(name).isReadOnly,
    pool: poolOf,
    ledger: async (name) => {
      const ledger = await findLedger(connections, name)
      pruner.keepPruned(connections, name, ledger)
      return ledger
    },
    forgetLedger: (name) => forgetLedger(poolOf(name)),
    cancel: async (name, session) => {
      const link = new Client({
        connectionString: targetOf(name).url,
        stream: () => new Socket({ signal: severed.signal }),
      })
      try {
        await sendCancel(link, session, cancelMs)
      } catch (error) {
        log.warn({ event: 'cancel.failed', connection: name, reason: reasonOf(error) })
      }
    },
    sever: () => severed.abort(),
    close: async () => {
      await pruner.stop()
      await Promise.all([...pools.values()].map((pool) => pool.end()))
    },
  }
  return connections
}

const unknownConnection = (name: string, known: readonly string[]): DatabaseQueryError => {
  const fault = known.length === 0 ? 'this worker has no connections' : mustBeOneOf(known, name)
  return new DatabaseQueryError(
    'connection_unknown',
    `config.connection: ${fault} (a connection is an ESTEIRA_CONNECTION_<NAME> variable of the worker)`,
  )
}
