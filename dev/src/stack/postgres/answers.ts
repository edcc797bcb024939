import { Client } from 'pg'
import { askUntil } from '../ask-until.ts'

/** Asks a server once whether it takes queries, for two seconds at most. */
export const askPostgres = async (url: string): Promise<void> => {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 2_000 })
  // A connection that breaks after its query was answered is reported here as well; without a listener it is thrown.
  const broken = Promise.withResolvers<never>()
  client.on('error', broken.reject)
  try {
    await Promise.race([client.connect().then(() => client.query('select 1')), broken.promise])
  } finally {
    await client.end()
  }
}

/** Asks until the server takes queries, or the signal is aborted. */
export const postgresAnswers = (url: string, signal: AbortSignal): Promise<void> =>
  askUntil(() => askPostgres(url), 40, signal)
