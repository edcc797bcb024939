import type { Connections } from '../connections.ts'
import { atLedger } from './at-ledger.ts'

/** Entries of a transaction: few enough that it is over at once. */
const batch = 5_000

/**
 * Removes entries of a ledger that are older than so many days; resolves to how many those were. Of several processes that
 * begin at once one does it. Jobs have ids that begin with the time (UUID version 7), and none is applied before it is
 * made: so the ledger's key leads to the old ones, and what is young is not looked at.
 *
 * @throws DatabaseQueryError `ledger_late` when a transaction takes longer than a session may; what went wrong; or the
 * signal's reason when it is aborted.
 */
export const pruneLedger = async (
  connections: Connections,
  connection: string,
  { ledger, days, signal }: { ledger: string; days: number; signal: AbortSignal },
): Promise<number> => {
  let removed = 0
  for (;;) {
    const { rowCount } = await atLedger(connections, connection, { done: 'pruned', signal }, (client) =>
      client.query(pruneSql(ledger), [days]),
    )
    removed += rowCount ?? 0
    if ((rowCount ?? 0) < batch) return removed
  }
}

const pruneSql = (ledger: string): string => `
  with turn as materialized (select pg_try_advisory_xact_lock(hashtext('esteira_applied pruned')) as mine)
  delete from ${ledger} using turn
  where mine and ctid = any (array(
    select ctid from ${ledger}
    where job_id < rpad(lpad(to_hex((extract(epoch from now() - make_interval(days => $1)) * 1000)::bigint), 12, '0'), 32, '0')::uuid
      and applied_at < now() - make_interval(days => $1)
    order by job_id limit ${batch}))`
