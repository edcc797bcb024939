import { cloneDatabase } from '@esteira/test/support'
import { entities, openOrm } from '@esteira/workflow'
import pg from 'pg'
import { expect, test } from 'vitest'
import * as z from 'zod'

const columnRows = z.array(
  z.object({ table: z.string(), name: z.string(), type: z.string(), nullable: z.boolean(), filled: z.boolean() }),
)

const columnsSql = `
  select relname as table, attname as name, format_type(atttypid, atttypmod) as type, not attnotnull as nullable,
         atthasdef or attidentity <> '' as filled
  from pg_attribute join pg_class on pg_class.oid = attrelid
  where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0 and not attisdropped`

/** How Postgres calls the types for which MikroORM has a shorter name. */
const longNames: Record<string, string> = { int: 'integer', timestamptz: 'timestamp with time zone' }

test('every property of an entity is a column of its type, nullable where the entity says so', async () => {
  const database = await cloneDatabase()
  const orm = openOrm({ databaseUrl: database.url, poolSize: 1, applicationName: 'test' })
  const client = new pg.Client(database.url)
  try {
    await client.connect()
    const columns = columnRows.parse((await client.query(columnsSql)).rows)
    const columnOf = (table: string, name: string) =>
      columns.find((column) => column.table === table && column.name === name)
    const metadata = [...orm.getMetadata().getAll().values()]
    expect(metadata).toHaveLength(entities.length)
    for (const { tableName, props } of metadata) {
      const names = props.flatMap(({ fieldNames }) => fieldNames)
      for (const property of props) {
        const where = `${tableName}.${property.name}`
        const column = columnOf(tableName, property.fieldNames[0] ?? '')
        expect(column, `${where} has a column`).toBeDefined()
        const [type = ''] = property.columnTypes
        expect(longNames[type] ?? type, `the type of ${where}`).toBe(column?.type)
        expect(property.nullable ?? false, `${where} may be null`).toBe(column?.nullable)
      }
      // An insert through the entity must not miss a column that has to be given.
      const needed = columns.filter(({ table, nullable, filled }) => table === tableName && !nullable && !filled)
      expect(names, `${tableName} has every column that must be given`).toEqual(
        expect.arrayContaining(needed.map(({ name }) => name)),
      )
    }
  } finally {
    await client.end()
    await orm.close()
    await database.drop()
  }
})
