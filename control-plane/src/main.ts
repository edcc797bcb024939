import { createLog, runMain } from '@esteira/service'
import { loadControlPlaneConfig } from './config.ts'
import { startControlPlane } from './start.ts'
import { traceVariables } from './trace-variables.ts'

process.exitCode = await runMain(() => {
  const config = loadControlPlaneConfig(process.env)
  const log = createLog('control-plane', config.logLevel)
  return {
    log,
    traces: { service: 'esteira-control-plane', env: process.env },
    start: (signal) =>
      startControlPlane({ config, log, signal, path: process.env.PATH, traces: traceVariables(process.env) }),
  }
})
