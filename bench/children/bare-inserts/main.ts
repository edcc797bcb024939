import pg from 'pg'
import { insertSql, insertsTaskSchema, valuesOf } from '../inserts.ts'
import { startJobClock, untilGo } from '../job-messages.ts'

/** A loop over `pg` and nothing else: rows in groups of a transaction, prepared once, sent without waiting for answers. */
const { url, rows, warmUp, group } = insertsTaskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const client = new pg.Client({ connectionString: url, pipeline: true })
await client.connect()

/** Inserts rows with the ids from one to below another. */
const insertAll = async (from: number, below: number): Promise<void> => {
  for (let first = from; first < below; first += group) {
    await client.query('begin')
    const ids = Array.from({ length: Math.min(group, below - first) }, (_, index) => first + index)
    await Promise.all(ids.map((id) => client.query({ name: 'insert', text: insertSql, values: valuesOf(id) })))
    await client.query('commit')
  }
}

await insertAll(-warmUp, 0)
await untilGo()
const done = startJobClock()
await insertAll(0, rows)
done(rows)
await client.end()
