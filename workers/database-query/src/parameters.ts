import { isTransient } from '@esteira/workflow'
import { type ClientBase, DatabaseError } from 'pg'
import * as z from 'zod'

/**
 * The values of a statement's every run as the driver takes them: an object is JSON, and so is an array where Postgres
 * takes `json` or `jsonb`; elsewhere it is a Postgres array. Of the two the driver would always write the latter, and an
 * empty one of those reads as an empty JSON object.
 */
export const toParameters = async (
  client: ClientBase,
  sql: string,
  groups: readonly (readonly unknown[])[],
): Promise<unknown[][]> => {
  const types = groups.some((values) => values.some(Array.isArray)) ? await parameterTypes(client, sql) : []
  return groups.map((values) =>
    values.map((value, index) => {
      if (typeof value !== 'object' || value === null) return value
      return Array.isArray(value) ? arrayOf(value, types[index]) : JSON.stringify(value)
    }),
  )
}

const arrayOf = (items: readonly unknown[], type = ''): unknown => {
  if (jsonTypes.has(type)) return JSON.stringify(items)
  // Of its items the driver would write a text as it is, and an array as one more dimension.
  if (jsonArrayTypes.has(type)) return items.map((item) => (item === null ? null : JSON.stringify(item)))
  return items
}

const jsonTypes = new Set(['json', 'jsonb'])
const jsonArrayTypes = new Set(['json[]', 'jsonb[]'])

/**
 * What Postgres takes `$1`, `$2` ... for, of a domain the type below it; nothing where it cannot tell, and then the
 * statement itself will fail.
 */
const parameterTypes = async (client: ClientBase, sql: string): Promise<string[]> => {
  await client.query('savepoint before_prepare')
  try {
    // As the statement itself: never several at once.
    const prepare = { text: `prepare of_types as ${sql}`, queryMode: 'extended' }
    await client.query(prepare)
    const { rows } = await client.query(
      `with recursive of_parameter as (
         select at, type::oid as type
         from pg_prepared_statements, unnest(parameter_types) with ordinality as given(type, at) where name = 'of_types'
         union all
         select at, typbasetype from of_parameter join pg_type on pg_type.oid = type and typtype = 'd'
       )
       select format_type(type, null) as type from of_parameter
       where not exists (select from pg_type where pg_type.oid = type and typtype = 'd') order by at`,
    )
    await client.query('deallocate of_types')
    return typeRows.parse(rows).map(({ type }) => type)
  } catch (error) {
    // A lock that another holds says nothing of the types, and may be gone when the statement itself asks for it.
    if (!(error instanceof DatabaseError) || isTransient(error)) throw error
    await client.query('rollback to before_prepare')
    return []
  }
}

const typeRows = z.array(z.object({ type: z.string() }))
