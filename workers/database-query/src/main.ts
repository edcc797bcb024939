import { loadConnections } from '@esteira/service'
import { runWorker } from '@esteira/workflow'
import { openConnections } from './connections.ts'
import { databaseQuery } from './database-query.ts'

process.exitCode = await runWorker('database-query', process.env, {}, (_, log) => {
  const connections = openConnections(loadConnections(process.env), log)
  const { fn, idle } = databaseQuery(connections, log)
  return {
    functions: [fn],
    close: async () => {
      await idle()
      await connections.close()
    },
  }
})
