import { orderingLockClass } from '../../register/ordering-lock.ts'
import { readColumns } from '../../read-columns.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { LeftBehind } from './move-place.ts'

/**
 * Who may still bring a scheduled row of a key that a statement sent after this one does not see: whoever has a key now,
 * and whoever draws an id above the lane's highest one. It took Postgres so many milliseconds.
 *
 * A writer has its key from before it draws an id until others can see its rows. So one with an id below the highest that
 * is seen here had its key by then, and either has it still when the locks are read, or its rows are seen from now on.
 */
export const lookAtKeyWriters = async ({ session, lane }: OwnedLane): Promise<LeftBehind & { ms: number }> => {
  const { rows } = await session.query(keyWritersSql, [lane, orderingLockClass])
  return readColumns(rows[0], 'the writers of keys', { aboveId: 'string', keys: 'strings', ms: 'number' })
}

// The snapshot, and with it the highest id, is taken before the locks are read. Prepared transactions keep theirs.
const keyWritersSql = {
  name: 'key_writers',
  text: `
    select
      coalesce((select id from outbox_scheduled where lane = $1 order by id desc limit 1), 0)::text as "aboveId",
      to_json(array(
        select distinct objid::int4::text from pg_locks
        where locktype = 'advisory' and granted and classid = $2::int::oid and objsubid = 2
          and database = (select oid from pg_database where datname = current_database())
      )) as keys,
      (extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)::float8 as ms`,
}
