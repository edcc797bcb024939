import pg from 'pg'
import { insertSql, insertsTaskSchema, valuesOf } from '../inserts.ts'
import { startJobClock, untilGo } from '../job-messages.ts'

/** A loop over `pg` and nothing else: rows in groups of a transaction, prepared once, sent without waiting for answers. */
const { url, rows, group } = insertsTaskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const client = new pg.Client({ connectionString: url, pipeline: true })
await client.connect()
await untilGo()
const done = startJobClock()
for (let first = 0; first < rows; first += group) {
  await client.query('begin')
  const ids = Array.from({ length: Math.min(group, rows - first) }, (_, index) => first + index)
  await Promise.all(ids.map((id) => client.query({ name: 'insert', text: insertSql, values: valuesOf(id) })))
  await client.query('commit')
}
done(rows)
await client.end()
