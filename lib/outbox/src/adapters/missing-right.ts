import { OutboxError } from '../errors.ts'
import { refusalOf } from './is-refusal.ts'
import type { Queryable } from './queryable.ts'

/** What each asks Postgres for, by the name of what the right is on. The README has the same under "What it needs". */
const rights: Record<string, Record<string, string>> = {
  enqueue: { outbox_message: 'insert', outbox_scheduled: 'insert', outbox_lane: 'select' },
  registerLane: { outbox_lane: 'select, insert, update' },
  receive: { inbox: 'insert, select' },
  pruneInbox: { inbox: 'select, update, delete' },
  listParked: { outbox_parked: 'select' },
  retryParked: { outbox_parked: 'select, delete', outbox_message: 'insert' },
  dropParked: { outbox_parked: 'select, delete' },
  'a relay': {
    outbox_lane: 'select, insert, update, delete',
    outbox_message: 'select, insert, delete',
    outbox_scheduled: 'select, update, delete',
    outbox_parked: 'select, insert',
    pg_control_system: 'execute',
  },
}

/** What rights on functions are granted on. */
const functions: Record<string, string> = { pg_control_system: 'function pg_control_system()' }

/** The routines of Postgres that refuse what a policy does not allow, and a look that one would narrow. */
const rowSecurity: ReadonlySet<string> = new Set(['ExecWithCheckOptions', 'check_enable_rls'])

/** Runs statements for this asker, and says which right is missing where Postgres refuses one for want of it. */
export const namingRights = (db: Queryable, asker: string): Queryable => ({
  query: async (text, values) => {
    try {
      return await db.query(text, values)
    } catch (cause) {
      throw missingRight(asker, cause) ?? cause
    }
  },
})

/** A refusal for want of a right as an error of ours, with the grant that was expected; null for whatever else failed. */
export const missingRight = (asker: string, cause: unknown): OutboxError | null => {
  const refusal = refusalOf(cause, '42501')
  if (refusal === null) return null
  const { words, routine } = refusal
  return new OutboxError('right_missing', `${asker}: ${words}; ${expectedOf(asker, words, routine)}`, { cause })
}

const expectedOf = (asker: string, words: string, routine: string | null): string => {
  if (routine !== null && rowSecurity.has(routine))
    return 'expected no row level security, or a policy that lets the role do this'
  // Postgres names what it refuses, in whatever language it says so, and not the right.
  const named = words.split(/\W+/)
  const found = Object.entries(rights[asker] ?? {}).find(([on]) => named.includes(on))
  return found === undefined
    ? 'expected the rights that the README of @esteira/outbox lists'
    : `expected "grant ${found[1]} on ${functions[found[0]] ?? found[0]} to" the role that does this`
}
