import { readColumns } from '../../read-columns.ts'
import { spreadMs } from '../backoff.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { ControlSession } from '../own/control-session.ts'

/**
 * Tells the transactions that bring rows from all others. An xid in progress says no more than that somebody has written
 * something, in whatever database of the server, and has not ended since. Who brings a row locks its table before it draws
 * an id or asks for the doorbell, and Postgres frees that lock only when all can see what it wrote.
 */
export type WriterWatch = {
  /**
   * Each transaction with an xid below this has ended, or had brought nothing when Postgres was asked: its ids are higher
   * than all that were read by then, and the doorbell was there for it to find. What was asked lately is given again; it
   * stays true, and knows of no younger xids.
   */
  horizon: () => Promise<bigint>
}

/**
 * How often it is asked, milliseconds, more or less. Relays all ask while such a transaction is open, and each time Postgres
 * holds up who locks anything: a floor that comes up once a second is low enough for none.
 */
const everyMs = 1_000

/** And so many times as long as it took it rests at least: Postgres goes through the locks of all sessions for it. */
const restPart = 20

/** But no longer, milliseconds: its clock may be set forward meanwhile. */
const longestRestMs = 60_000

export const createWriterWatch = (
  session: Pick<ControlSession, 'query'>,
  now = () => performance.now(),
  random = Math.random,
): WriterWatch => {
  let horizon = 0n
  let dueAtMs = Number.NEGATIVE_INFINITY
  return {
    horizon: async () => {
      if (now() < dueAtMs) return horizon
      dueAtMs = now() + spreadMs(everyMs, random)
      const { rows } = await session.query(writersSql, [])
      const { xmax, xids, ms } = readColumns(rows[0], 'the writers', { xmax: 'string', xids: 'strings', ms: 'number' })
      horizon = xids.map((xid) => wholeXid(Number(xid), BigInt(xmax))).reduce(lower, BigInt(xmax))
      dueAtMs = now() + spreadMs(Math.max(everyMs, Math.min(restPart * ms, longestRestMs)), random)
      return horizon
    },
  }
}

/** Where the floor of a lane is held up: finds out whether that is by somebody who may bring a row. */
export const seeWriters = async ({ pointers, writers }: OwnedLane): Promise<void> => {
  if (pointers.isHeldUp()) pointers.sawEnded(await writers.horizon())
}

/** An xid in progress as its lock has it, the last 32 bits: none is farther than half of them from the next xid. */
export const wholeXid = (xid: number, near: bigint): bigint => near + BigInt.asIntN(32, BigInt(xid) - near)

const lower = (one: bigint, other: bigint): bigint => (other < one ? other : one)

// The snapshot is taken before the locks are read, and its xmax is above every mark that was drawn before. A transaction
// keeps its virtual number, by which its locks belong together, also where it is prepared. Of those that end between the
// one lock and the other none is found, and that is right: they have ended.
const writersSql = {
  name: 'writers',
  text: `
    with writer as (
      select array_agg(transactionid::text) filter (where mode = 'ExclusiveLock') as xids
      from pg_locks
      where granted and (
        locktype = 'transactionid' and mode = 'ExclusiveLock'
        or locktype = 'relation' and mode = 'RowExclusiveLock'
          and database = (select oid from pg_database where datname = current_database())
          and relation in ('outbox_message'::regclass, 'outbox_scheduled'::regclass)
      )
      group by virtualtransaction
      having bool_or(locktype = 'relation')
    )
    select pg_snapshot_xmax(pg_current_snapshot())::text as xmax,
      to_json(array(select unnest(xids) from writer)) as xids,
      (extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)::float8 as ms`,
}
