import { type ControlSession, openControlSession } from '@esteira/outbox/internal/control-session'
import { OutboxError, type Queryable } from '@esteira/outbox'
import { reasonOf } from '@esteira/service'
import * as z from 'zod'

export type LeadEvent = { kind: 'lead.taken' } | { kind: 'lead.lost'; reason: string }

/**
 * Which of several control planes keeps the cluster as it should be. What it knows of the cluster is written over the
 * session that has the lead, as it is a `Queryable`: a statement of who has lost it fails, however late it comes.
 */
export type Lead = Queryable & {
  /** Takes the lead if nobody has it. Rejects when the database cannot be asked. */
  take: () => Promise<boolean>
  /** Whether the lead is known to be ours: a process that was frozen finds out here, before it writes. */
  holds: () => boolean
  /** Leaves it to the others. */
  release: () => Promise<void>
}

/** The keys of the lead's advisory lock, 'estr' in ASCII and nothing more: one a database. */
const lockKeys = [0x65_73_74_72, 0]

/**
 * The lead is a lock of a database session, as the owner of an outbox lane has one: Postgres frees it when the session
 * ends, and ends the session of a process that is frozen. Without it two releases that roll over would undo each other's
 * changes, turn by turn.
 */
export const openLead = (databaseUrl: string, observe: (event: LeadEvent) => void): Lead => {
  let session: ControlSession | undefined
  let leads = false

  const take = async (): Promise<boolean> => {
    if (session?.lost.aborted) {
      if (leads) observe({ kind: 'lead.lost', reason: reasonOf(session.lost.reason) })
      leads = false
      session = undefined
    }
    session ??= await openControlSession(databaseUrl, 'control-plane lead')
    if (leads) return holds()
    const { rows } = await session.query({ text: takeSql }, lockKeys)
    leads = takenRows.parse(rows)[0].taken
    if (leads) observe({ kind: 'lead.taken' })
    return leads
  }
  const holds = (): boolean => leads && session !== undefined && session.fresh()

  return {
    take,
    holds,
    query: async (text, values) => {
      if (session === undefined || !leads) throw new OutboxError('session_lost', 'the lead is not ours')
      return session.query({ text }, values)
    },
    release: async () => {
      leads = false
      await session?.close()
      session = undefined
    },
  }
}

/** Whether work that is done over the session of the lead was done to its end: false where the lead was lost before. */
export const whileLeading = async (work: () => Promise<void>): Promise<boolean> => {
  try {
    await work()
    return true
  } catch (error) {
    if (error instanceof OutboxError && error.code === 'session_lost') return false
    throw error
  }
}

// Locks: one advisory lock, without waiting, so it cannot deadlock.
const takeSql = 'select pg_try_advisory_lock($1, $2) as taken'

const takenRows = z.tuple([z.object({ taken: z.boolean() })])
