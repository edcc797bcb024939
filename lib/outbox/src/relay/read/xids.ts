import { readColumns } from '../../read-columns.ts'
import type { Pointers } from './pointers.ts'

/** The columns of a statement that draws an xid and tells the oldest one in progress. */
export const xidColumns = 'pg_current_xact_id()::text as xid, pg_snapshot_xmin(pg_current_snapshot())::text as xmin'

/** Takes the two from the row. `cursor` is what the cursor was when the statement was sent. */
export const takeXids = (pointers: Pointers, row: unknown, cursor: bigint): { xid: bigint } => {
  const drawn = readColumns(row, 'the xids', { xid: 'string', xmin: 'string' })
  const xid = BigInt(drawn.xid)
  pointers.sawEnded(BigInt(drawn.xmin))
  pointers.drewXid(xid, cursor)
  return { xid }
}
