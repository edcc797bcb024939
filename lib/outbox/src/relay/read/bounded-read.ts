import { readColumns } from '../../read-columns.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { Statement } from '../own/control-session.ts'
import { isWithheld, laneColumns, lightColumns, type LaneRow, parseLaneRow } from './lane-row.ts'

/** The rows, in the order of the statement, and whether there may be more. */
export type Batch = { rows: LaneRow[]; full: boolean }

/**
 * A read of rows that brings no more than `batchBytes` of payloads and one row, in two statements.
 *
 * A running sum doubles what a read of 500 small rows costs Postgres (1.0 to 2.1 ms), so most reads are not weighed:
 * `light` withholds payloads that are not small, and from the first of those on the read is done again, by `weighed`.
 */
export type BoundedRead = { light: Statement; weighed: Statement }

/** Bytes of payloads in a batch. It ends with the row that reaches them, so one larger than that goes by itself. */
export const batchBytes = 4 * 1024 * 1024

/**
 * A payload of more bytes than this, or one that Postgres compressed, is not light. Postgres leaves no larger ones in the
 * row as they are, and 2,500 light ones, the most of a batch, are little more than a batch may have.
 */
const lightBytes = 2_000

/** Rows of a first weighed read: twice as many as fit if each is as large as `enqueue` takes them. */
const firstWeighedRows = 8

const isLightPayload = `pg_column_size(payload) <= ${lightBytes} and pg_column_compression(payload) is null`
const isLightBytes = `octet_length(bytes) <= ${lightBytes}`

/**
 * `rows` is a query of columns of `outbox_message`, in the order of a column `order`, one of those.
 *
 * What was not compressed is weighed without being fetched. The size of compressed JSON is known from its text alone.
 */
export const boundedRead = (name: string, order: string, rows: (columns: string) => string): BoundedRead => ({
  light: { name, text: rows(lightColumns(isLightPayload, isLightBytes)) },
  weighed: {
    name: `${name}_weighed`,
    text: `
    select ${laneColumns}, total >= ${batchBytes} as ends, coalesce(${isLightBytes}, ${isLightPayload}) as light
    from (
      select *, sum(size) over (order by ${order} rows unbounded preceding) as total
      from (
        select *, case
          when bytes is not null then octet_length(bytes)
          when pg_column_compression(payload) is null then pg_column_size(payload)
          else octet_length(payload::text) end as size
        from (${rows('*')}) as batch
      ) as sized
    ) as summed
    where total - size < ${batchBytes}
    order by ${order}`,
  },
})

/**
 * Reads a batch of at most `limit` rows. `valuesFor` gives the statement's values for a limit.
 *
 * A lane whose last rows were large is read by weight at once, and asked for one row more than fitted, or for twice as
 * many if all fitted: Postgres unpacks compressed rows to weigh them, and would unpack hundreds each time to give a few.
 */
export const readBounded = async (
  owned: OwnedLane,
  { light, weighed }: BoundedRead,
  limit: number,
  valuesFor: (limit: number) => unknown[],
  mayTakeLong = false,
): Promise<Batch> => {
  const { session } = owned
  if (owned.weighedRows === null) {
    const { rows } = await session.query({ ...light, mayTakeLong }, valuesFor(limit))
    const withheld = rows.findIndex(isWithheld)
    if (withheld === -1) return { rows: rows.map(parseLaneRow), full: rows.length === limit }
    owned.weighedRows = firstWeighedRows
    // A large row now and then must cost nothing of what was read before it.
    if (withheld > 0) return { rows: rows.slice(0, withheld).map(parseLaneRow), full: true }
  }
  const most = Math.min(limit, owned.weighedRows)
  const { rows } = await session.query({ ...weighed, mayTakeLong }, valuesFor(most))
  const weights = rows.map(parseWeight)
  const isCut = weights.at(-1)?.ends ?? false
  owned.weighedRows = weights.every((weight) => weight.light) ? null : isCut ? rows.length + 1 : 2 * most
  return { rows: rows.map(parseLaneRow), full: isCut || rows.length === most }
}

const parseWeight = (row: unknown): { ends: boolean; light: boolean } =>
  readColumns(row, 'the weight of a row', { ends: 'boolean', light: 'boolean' })
