import { Client } from 'pg'

/** Runs one statement on a connection of its own, and gives its rows. A server that does not answer is no hang. */
export const queryOnce = async (url: string, sql: string, values: readonly unknown[] = []): Promise<unknown[]> => {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 10_000 })
  // A server that is killed breaks connections that have nothing under way, too; without a listener that is thrown.
  const broken = Promise.withResolvers<never>()
  client.on('error', broken.reject)
  try {
    const rows = client.connect().then(async () => (await client.query({ text: sql, values: [...values] })).rows)
    return await Promise.race([rows, broken.promise])
  } finally {
    await client.end()
  }
}
