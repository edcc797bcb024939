import { httpOrigins, httpUrl, integer, postgresUrl, reasonOf, text } from '@esteira/service'
import { runWorker } from '@esteira/workflow'
import { Pool } from 'pg'
import { getLeads } from './get-leads.ts'
import { accountLimit, openAccounts } from './rd-station/index.ts'

const settings = {
  databaseUrl: postgresUrl('DATABASE_URL'),
  baseUrl: httpUrl('RDSTATION_BASE_URL', { fallback: 'https://api.rd.services' }),
  origins: httpOrigins('ESTEIRA_RDSTATION_ORIGINS'),
  clientId: text('RDSTATION_CLIENT_ID'),
  clientSecret: text('RDSTATION_CLIENT_SECRET', { secret: true }),
  refreshToken: text('RDSTATION_REFRESH_TOKEN', { secret: true }),
  rateLimit: integer('RDSTATION_RATE_LIMIT', { min: 0, max: 10_000, fallback: 120 }),
}

process.exitCode = await runWorker(
  {
    name: 'rd-station-get-leads',
    settings,
    serve: ({ databaseUrl, rateLimit, baseUrl, origins, ...credentials }, { log, stopping, secrets }) => {
      const db = new Pool({
        connectionString: databaseUrl,
        max: 2,
        application_name: 'rd-station-get-leads (limit)',
        statement_timeout: 5_000,
        connectionTimeoutMillis: 5_000,
        // A turn that a crash of the server loses was taken within the second before it.
        options: '-c synchronous_commit=off',
      })
      // An idle connection that breaks is replaced by the next call, and must not end the process.
      db.on('error', (error) => log.warn({ event: 'limit.connection-lost', reason: reasonOf(error) }))
      const limitOf = (account: string) => accountLimit(account, rateLimit === 0 ? null : rateLimit, { db })
      const accounts = openAccounts({ baseUrl, origins, credentials, secrets, limitOf, stopping })
      return {
        functions: [getLeads(accounts)],
        close: async () => {
          await accounts.close()
          await db.end()
        },
      }
    },
  },
  process.env,
)
