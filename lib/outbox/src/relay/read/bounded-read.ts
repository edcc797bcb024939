import { readColumns } from '../../read-columns.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { Statement } from '../own/control-session.ts'
import { rowsById } from './rows-by-id.ts'
import { isWithheld, laneColumns, lightColumns, type LaneRow, parseLaneRow } from './lane-row.ts'

/** The rows, in the order of the statement, and whether there may be more. */
export type Batch = {
  rows: LaneRow[]
  full: boolean
  /** To be called when each of the rows has come to an end, with how many of them were left in the lane. */
  ended?: (left: number) => void
}

/**
 * A read of rows whose statements each bring no more than `batchBytes` of payloads and headers, and one row.
 *
 * A running sum doubles what a read of 500 small rows costs Postgres (1.0 to 2.1 ms), so most reads are not weighed:
 * `light` withholds what is not small. A few of those are asked for by their ids; from a lane that has more of
 * them rows are read by `weighed`.
 */
export type BoundedRead = { light: Statement; weighed: Statement }

/** Bytes of payloads and headers in a batch. It ends with the row that reaches them, so one larger than that goes by itself. */
export const batchBytes = 4 * 1024 * 1024

/**
 * A row whose payload and headers are more bytes than this, or one of which Postgres compressed either, is not light.
 * It leaves no larger ones in the row as they are, and 2,500 light ones, the most of a batch, are little more than a
 * batch may have.
 */
const lightBytes = 2_000

/** Rows of a first weighed read: twice as many as fit if each is as large as `enqueue` takes them. */
const firstWeighedRows = 8

/** So many rows that were withheld from a read are asked for. It unpacks each that is compressed, to weigh it. */
const mostFetched = 16

/** A lane whose last rows were all light is read without weighing again if they were so many: fewer may be chance. */
const sureRows = 64

const isLightRow = `(coalesce(octet_length(bytes), pg_column_size(payload)) + pg_column_size(headers) <= ${lightBytes}
        and pg_column_compression(payload) is null and pg_column_compression(headers) is null)`

const sizeOf = (json: string): string =>
  `case when pg_column_compression(${json}) is null then pg_column_size(${json}) else octet_length(${json}::text) end`

/**
 * `rows` is a query of columns of `outbox_message`, in the order of a column `order`, one of those.
 *
 * What was not compressed is weighed without being fetched. The size of compressed JSON is known from its text alone.
 */
export const boundedRead = (name: string, order: string, rows: (columns: string) => string): BoundedRead => ({
  light: { name, text: rows(lightColumns(isLightRow)) },
  weighed: weighedRead(`${name}_weighed`, order, rows('*')),
})

const weighedRead = (name: string, order: string, rows: string): Statement => ({
  name,
  text: `
    select ${laneColumns}, total >= ${batchBytes} as ends, ${isLightRow} as light
    from (
      select *, sum(size) over (order by ${order} rows unbounded preceding) as total
      from (
        select *, ${sizeOf('headers')} + coalesce(octet_length(bytes), ${sizeOf('payload')}) as size
        from (${rows}) as batch
      ) as sized
    ) as summed
    where total - size < ${batchBytes}
    order by ${order}`,
})

const fetchSql = weighedRead('fetch_withheld', 'id', `select * from outbox_message where ${rowsById('$1', '$2')}`)

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
    const whole = await wholeRows(owned, rows)
    if (whole.length === rows.length) return { rows: whole, full: rows.length === limit }
    owned.weighedRows = firstWeighedRows
    if (whole.length > 0) return { rows: whole, full: true }
  }
  const most = Math.min(limit, owned.weighedRows)
  const { rows } = await session.query({ ...weighed, mayTakeLong }, valuesFor(most))
  const weights = rows.map(parseWeight)
  const isCut = weights.at(-1)?.ends ?? false
  const isLight = most >= Math.min(limit, sureRows) && weights.every((weight) => weight.light)
  owned.weighedRows = isLight ? null : isCut ? rows.length + 1 : 2 * most
  return { rows: rows.map(parseLaneRow), full: isCut || rows.length === most }
}

/** The rows of a light read with what was withheld, up to the first that would be too much. */
const wholeRows = async ({ session, lane }: OwnedLane, rows: readonly unknown[]): Promise<LaneRow[]> => {
  const withheld = rows.filter(isWithheld).map(parseId)
  const isFew = withheld.length > 0 && withheld.length <= mostFetched
  const fetched = isFew ? (await session.query(fetchSql, [lane, withheld.map(String)])).rows.map(parseLaneRow) : []
  const found = new Map(fetched.map((row) => [row.id, row]))
  const whole: LaneRow[] = []
  for (const row of rows) {
    const complete = isWithheld(row) ? found.get(parseId(row)) : parseLaneRow(row)
    if (complete === undefined) break
    whole.push(complete)
  }
  return whole
}

const parseId = (row: unknown): bigint => BigInt(readColumns(row, 'outbox_message', { id: 'string' }).id)

const parseWeight = (row: unknown): { ends: boolean; light: boolean } =>
  readColumns(row, 'the weight of a row', { ends: 'boolean', light: 'boolean' })
