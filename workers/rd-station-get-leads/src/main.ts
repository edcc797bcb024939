import { httpOrigins, httpUrl, integer, postgresUrl, text } from '@esteira/service'
import { runWorker } from '@esteira/workflow'
import { getLeads } from './get-leads.ts'
import { openLimitPool } from './limit-pool.ts'
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
      const db = openLimitPool(databaseUrl, log)
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
