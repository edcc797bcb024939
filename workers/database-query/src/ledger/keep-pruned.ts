import { setTimeout as pause } from 'node:timers/promises'
import { type Log, reasonOf } from '@esteira/service'
import { DatabaseError } from 'pg'
import type { Connections } from '../connections.ts'
import { pruneLedger } from './prune.ts'

/** Prunes the ledgers that it is told of, again and again, until it is stopped. */
export type LedgerPruner = {
  keepPruned: (connections: Connections, connection: string, ledger: string) => void
  /** Ends what is under way. */
  stop: () => Promise<void>
}

/**
 * Milliseconds, give or take a half, as not all processes are to do it at once: the first time soon, for pods that do not
 * live long, and then each hour, whose entries are few beside those of a month.
 */
const usual = { firstMs: 60_000, everyMs: 3_600_000 }

/**
 * Keeps ledgers at `days` days. That a user may not delete there is told once: the ledger then grows, until somebody else
 * prunes it.
 */
export const createLedgerPruner = (days: number, log: Log, { firstMs, everyMs } = usual): LedgerPruner => {
  const stopped = new AbortController()
  const loops = new Map<string, Promise<void>>()

  const wait = (ms: number): Promise<void> =>
    pause(ms * (0.5 + Math.random()), undefined, { signal: stopped.signal, ref: false }).catch(() => undefined)

  const keep = async (connections: Connections, connection: string, ledger: string): Promise<void> => {
    for (await wait(firstMs); !stopped.signal.aborted; await wait(everyMs)) {
      try {
        const removed = await pruneLedger(connections, connection, { ledger, days, signal: stopped.signal })
        if (removed > 0) log.info({ event: 'ledger.pruned', connection, removed })
      } catch (error) {
        if (stopped.signal.aborted) return
        log.warn({ event: 'ledger.not-pruned', connection, reason: reasonOf(error) })
        if (error instanceof DatabaseError && error.code === mayNot) return
      }
    }
  }

  return {
    keepPruned: (connections, connection, ledger) => {
      if (loops.has(connection) || stopped.signal.aborted) return
      loops.set(connection, keep(connections, connection, ledger))
    },
    stop: async () => {
      stopped.abort()
      await Promise.all(loops.values())
    },
  }
}

/** The SQLSTATE of a right that is not there. */
const mayNot = '42501'
