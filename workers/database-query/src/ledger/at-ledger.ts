import type { ClientBase } from 'pg'
import type { Connections } from '../connections.ts'
import { DatabaseQueryError } from '../errors.ts'
import { inSession } from '../session.ts'

/**
 * Does work on the ledger of a database in a transaction. It is no job's, so it has a time of its own, that of
 * `connections`: without one a lock, or a server that says nothing any more, would keep a session from all jobs.
 *
 * @throws DatabaseQueryError `ledger_late` when that is over, with what was not `done` by then; what went wrong; or the
 * signal's reason when it is aborted.
 */
export const atLedger = async <T>(
  connections: Connections,
  connection: string,
  { done, signal }: { done: string; signal?: AbortSignal },
  work: (client: ClientBase) => Promise<T>,
): Promise<T> => {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(ledgerLate(done, connections.waitMs)), connections.waitMs)
  // Whatever is set for the role: what another process has just made is to be seen.
  const begin = 'begin isolation level read committed'
  const either = signal === undefined ? over.signal : AbortSignal.any([over.signal, signal])
  try {
    return await inSession(connections, connection, { begin, writes: true, signal: either }, ({ client }) =>
      work(client),
    )
  } finally {
    clearTimeout(timer)
  }
}

const ledgerLate = (done: string, ms: number): DatabaseQueryError =>
  new DatabaseQueryError(
    'ledger_late',
    `the ledger esteira_applied of config.connection was not ${done} within ${ms / 1_000} s: ` +
      'the database does not answer, or somebody has that table locked',
  )
