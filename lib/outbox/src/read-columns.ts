import { OutboxError } from './errors.ts'

/** What a column is in JavaScript: `pg` gives a `bigint` and an `xid8` as strings. A `?` is one that may be null. */
type ColumnTypes = {
  number: number
  string: string
  boolean: boolean
  strings: string[]
  'number?': number | null
  'string?': string | null
}

type Columns = Record<string, keyof ColumnTypes>

type Row<Named extends Columns> = { [Column in keyof Named]: ColumnTypes[Named[Column]] }

/**
 * The row of a statement of ours, checked to have the columns that are named.
 *
 * @throws OutboxError `row_invalid` with the first column that is of another type; `source` says where it comes from.
 */
export const readColumns = <Named extends Columns>(row: unknown, source: string, columns: Named): Row<Named> => {
  if (hasColumns(row, columns)) return row
  const [column, expected] = Object.entries(columns).find((one) => !isOfType(row, one)) ?? []
  throw new OutboxError('row_invalid', `${source}: the column ${column} is not of the expected type, ${expected}`)
}

const hasColumns = <Named extends Columns>(row: unknown, columns: Named): row is Row<Named> =>
  Object.entries(columns).every((one) => isOfType(row, one))

const isOfType = (row: unknown, [column, type]: [string, keyof ColumnTypes]): boolean => {
  const value: unknown = typeof row === 'object' && row !== null ? Reflect.get(row, column) : undefined
  return checks[type](value)
}

const checks: Record<keyof ColumnTypes, (value: unknown) => boolean> = {
  number: (value) => typeof value === 'number',
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  strings: (value) => Array.isArray(value) && value.every((text) => typeof text === 'string'),
  'number?': (value) => value === null || typeof value === 'number',
  'string?': (value) => value === null || typeof value === 'string',
}
