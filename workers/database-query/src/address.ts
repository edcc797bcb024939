import { connections, didYouMean } from '@esteira/service'
import { DatabaseQueryError } from './errors.ts'

/** A database as its address gives it. */
export type Target = {
  /** What the driver takes. */
  url: string
  /** Sessions that a process has with it at most. */
  sessions: number
  /** Whether its statements may read only; the server holds them to it. */
  isReadOnly: boolean
}

/** An address that was understood, or what was expected in its place. */
type Read = { ok: true; value: Target } | { ok: false; expected: string; hint: string }

/** Options of an address that are ours begin like this; all others are the driver's. */
const prefix = 'esteira_'

const usualSessions = 10
const mostSessions = 100

/**
 * Reads what an address says to us: `?esteira_pool=5` bounds the sessions of a process, `?esteira_read_only=true` lets
 * statements read only. The driver does not see it.
 */
export const readAddress = (address: string): Read => {
  const url = new URL(address)
  const options = [...url.searchParams].filter(([name]) => name.startsWith(prefix))
  if (options.length === 0) return { ok: true, value: { url: address, sessions: usualSessions, isReadOnly: false } }
  const unknown = options.find(([name]) => !known.includes(name))
  if (unknown !== undefined) {
    return wrong(`an address without ${unknown[0]}`, didYouMean(unknown[0], known))
  }
  for (const name of known) url.searchParams.delete(name)
  const { esteira_pool: pool = `${usualSessions}`, esteira_read_only: readOnly = 'false' } = Object.fromEntries(options)
  if (!/^\d{1,3}$/.test(pool) || Number(pool) < 1 || Number(pool) > mostSessions) {
    return wrong(`an address with esteira_pool from 1 to ${mostSessions}`)
  }
  if (readOnly !== 'true' && readOnly !== 'false') {
    return wrong('an address with esteira_read_only=true or esteira_read_only=false')
  }
  return { ok: true, value: { url: url.href, sessions: Number(pool), isReadOnly: readOnly === 'true' } }
}

const known = ['esteira_pool', 'esteira_read_only']

const wrong = (expected: string, hint = ''): Read => ({ ok: false, expected, hint })

/** @throws DatabaseQueryError `config_invalid` for an address that the worker's start would have refused. */
export const targetOfAddress = (address: string): Target => {
  const read = readAddress(address)
  if (read.ok) return read.value
  throw new DatabaseQueryError('config_invalid', `a connection has another address than ${read.expected}${read.hint}`)
}

/** The addresses that `ESTEIRA_CONNECTION_<NAME>` variables give, by their names. What they say to us is checked as well. */
export const addresses: typeof connections = {
  prefix: connections.prefix,
  parse: (text) => {
    const address = connections.parse(text)
    if (!address.ok) return address
    const read = readAddress(address.value)
    return read.ok ? address : read
  },
}
