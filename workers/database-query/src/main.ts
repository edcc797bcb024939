import { integer } from '@esteira/service'
import { maxPayloadRange, runWorker } from '@esteira/workflow'
import { addresses } from './address.ts'
import { openConnections, usualLedgerDays } from './connections.ts'
import { databaseQuery } from './database-query.ts'

/** How long statements may take when the worker has stopped: with the grace period before it, below Kubernetes' 30 s. */
const lastStatementsMs = 3_000

/** A week at least: a job may wait that long for a database that is away, and then find that it was applied before. */
const ledgerDays = integer('ESTEIRA_LEDGER_DAYS', { min: 7, max: 3_650, fallback: usualLedgerDays })

/** As the worker itself reads it, which refuses what is larger. */
const maxPayloadBytes = integer('ESTEIRA_MAX_PAYLOAD_BYTES', maxPayloadRange)

process.exitCode = await runWorker(
  {
    name: 'database-query',
    settings: { connections: addresses, ledgerDays, maxPayloadBytes },
    serve: (config, { log, count }) => {
      const databases = openConnections(config.connections, log, config)
      const { fn, idle } = databaseQuery(databases, {
        maxPayloadBytes: config.maxPayloadBytes,
        onFailed: (connection) => count('esteira_statements_failed_total', { connection }),
      })
      return {
        functions: [fn],
        close: async () => {
          setTimeout(databases.sever, lastStatementsMs).unref()
          await idle()
          await databases.close()
        },
      }
    },
  },
  process.env,
)
