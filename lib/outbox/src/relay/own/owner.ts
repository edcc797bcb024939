import pg from 'pg'
import { registerLane } from '../../lane/register-lane.ts'
import { OutboxError, reasonOf } from '../../errors.ts'
import type { Observe } from '../observation.ts'
import { createHeldRows, type HeldRows } from '../settle/held-rows.ts'
import { type ControlSession, openControlSession } from './control-session.ts'
import { tryLaneLock } from './try-lane-lock.ts'

/**
 * A lane while this relay owns it. All that the relay remembers of the lane's rows is here and goes with the session:
 * the next one may see another server, whose ids need not mean the same rows.
 */
export type OwnedLane = {
  /** The lane's number. */
  lane: number
  session: ControlSession
  /** Rows that the broker refused, and when each is tried again. */
  held: HeldRows
  /** Rows that were confirmed and not yet deleted, because the delete failed. */
  confirmed: bigint[]
}

export type Owner = {
  /**
   * The lane, or null while a neighbour owns it. Opens the session when there is none.
   *
   * @throws OutboxError `database_unavailable`, also when the tables are not there yet.
   */
  own: () => Promise<OwnedLane | null>
  /** The lane's number, once it is known. */
  lane: () => number | null
  close: () => Promise<void>
}

type OwnerOptions = { databaseUrl: string; lane: string; observe: Observe; onLost: () => void }

export const createOwner = ({ databaseUrl, lane, observe, onLost }: OwnerOptions): Owner => {
  let current: { session: ControlSession; lane: number } | null = null
  let owned: OwnedLane | null = null
  let waiting = false
  let closed = false

  const open = async () => {
    const session = await openControlSession(databaseUrl, `outbox relay ${lane}`)
    try {
      const number = await registerLane(asQueryable(session), lane)
      if (closed) throw new OutboxError('relay_misused', 'the relay was stopped')
      session.lost.addEventListener('abort', () => sayLost(session))
      return { session, lane: number }
    } catch (cause) {
      await session.close()
      throw isNotMigrated(cause)
        ? new OutboxError('database_unavailable', `the tables of the outbox are not there yet: ${reasonOf(cause)}`, {
            cause,
          })
        : cause
    }
  }

  const sayLost = (session: ControlSession) => {
    if (closed) return
    if (owned?.session === session) observe({ kind: 'relay.lost', lane, reason: reasonOf(session.lost.reason) })
    onLost()
  }

  return {
    lane: () => current?.lane ?? null,
    own: async () => {
      if (closed) throw new OutboxError('relay_misused', 'the relay was stopped')
      if (current === null || current.session.lost.aborted) {
        owned = null
        waiting = false
        current = await open()
      }
      if (owned !== null) return owned
      const { session, lane: number } = current
      if (await tryLaneLock(session, number)) {
        owned = { lane: number, session, held: createHeldRows(), confirmed: [] }
        observe({ kind: 'relay.owned', lane })
        return owned
      }
      if (!waiting) observe({ kind: 'relay.waiting', lane })
      waiting = true
      return null
    },
    close: async () => {
      closed = true
      await current?.session.close()
    },
  }
}

const asQueryable = (session: ControlSession) => ({
  query: (text: string, values: unknown[]) => session.query({ text }, values),
})

/** Undefined table: the control plane migrates, and a relay may start before it. */
const isNotMigrated = (cause: unknown): boolean => cause instanceof pg.DatabaseError && cause.code === '42P01'
