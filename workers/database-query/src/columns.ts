import type { FieldDef } from 'pg'
import { DatabaseQueryError } from './errors.ts'
import { parserOf } from './row-values.ts'

/** A column of what a statement gives, and how its values are read. */
export type Column = { name: string; parse: (text: string) => unknown }

/** The columns that the server describes. */
export const columnsOf = (fields: readonly FieldDef[]): Column[] =>
  fields.map(({ name, dataTypeID }) => ({ name, parse: readerOf(dataTypeID) }))

/**
 * Refuses rows that would be objects with a member twice, of which only the last would go on.
 *
 * @throws DatabaseQueryError `config_invalid`
 */
export const refuseTwice = (names: readonly string[]): void => {
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice === undefined) return
  throw new DatabaseQueryError(
    'config_invalid',
    `config.sql gives two columns with the name ${JSON.stringify(twice)}: give one of them another by "as"`,
  )
}

/** A row as it goes on, of the texts that the server sent. */
export const readRow = (columns: readonly Column[], texts: readonly (string | null)[]): Record<string, unknown> =>
  Object.fromEntries(
    columns.map(({ name, parse }, index) => {
      const text = texts[index] ?? null
      return [name, text === null ? null : parse(text)]
    }),
  )

/** Types that people made are among them, which pg's do not name. */
const readerOf: (oid: number) => (text: string) => unknown = parserOf
