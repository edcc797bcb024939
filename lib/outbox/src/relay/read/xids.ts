import { OutboxError } from '../../errors.ts'
import type { Pointers } from './pointers.ts'

/** The columns of a statement that draws an xid and tells the oldest one in progress. */
export const xidColumns = 'pg_current_xact_id()::text as xid, pg_snapshot_xmin(pg_current_snapshot())::text as xmin'

/** Takes the two from the row. `cursor` is what the cursor was when the statement was sent. */
export const takeXids = (pointers: Pointers, row: unknown, cursor: bigint): { xid: bigint } => {
  if (
    typeof row === 'object' &&
    row !== null &&
    'xid' in row &&
    typeof row.xid === 'string' &&
    'xmin' in row &&
    typeof row.xmin === 'string'
  ) {
    const xid = BigInt(row.xid)
    pointers.sawXmin(BigInt(row.xmin))
    pointers.drewXid(xid, cursor)
    return { xid }
  }
  throw new OutboxError('row_invalid', 'Postgres gave no xids')
}
