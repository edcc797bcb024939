import { type Log, reasonOf } from '@esteira/service'
import { sessionOptions } from '@esteira/workflow'
import { Pool } from 'pg'

/** Opens the sessions in which workers take turns at the API's limit. Nothing is sent until the first. */
export const openLimitPool = (databaseUrl: string, log: Log): Pool => {
  const db = new Pool({
    connectionString: databaseUrl,
    max: 2,
    application_name: 'rd-station-get-leads (limit)',
    statement_timeout: 5_000,
    connectionTimeoutMillis: 5_000,
    // A turn that a crash of the server loses was taken within the second before it.
    options: `${sessionOptions} -c synchronous_commit=off`,
  })
  // An idle connection that breaks is replaced by the next call, and must not end the process.
  db.on('error', (error) => log.warn({ event: 'limit.connection-lost', reason: reasonOf(error) }))
  return db
}
