import { connections } from '@esteira/service'
import { runWorker } from '@esteira/workflow'
import { openConnections } from './connections.ts'
import { databaseQuery } from './database-query.ts'

/** How long statements may take when the worker has stopped: with the grace period before it, below Kubernetes' 30 s. */
const lastStatementsMs = 3_000

process.exitCode = await runWorker(
  {
    name: 'database-query',
    settings: { connections },
    serve: (config, { log }) => {
      const databases = openConnections(config.connections, log)
      const { fn, idle } = databaseQuery(databases)
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
