import { Client, type QueryConfig } from 'pg'

/** Runs statements on a connection of their own, one after the other; the rows of the last. */
export const runOn = async (url: string, ...statements: (string | QueryConfig)[]): Promise<unknown[]> => {
  const client = new Client({ connectionString: url })
  // A connection that falls fails the statement that is under way, or the next one: they tell of it.
  client.on('error', () => undefined)
  await client.connect()
  try {
    let rows: unknown[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}
