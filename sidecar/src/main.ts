import { createRelay } from '@esteira/outbox/relay'
import { createLog, runMain } from '@esteira/service'
import { loadSidecarConfig } from './config.ts'
import { logObservation } from './log-observation.ts'

process.exitCode = await runMain(() => {
  const { graceMs, logLevel, ...config } = loadSidecarConfig(process.env)
  const log = createLog('relay', logLevel)
  const relay = createRelay({ ...config, observe: (observation) => logObservation(log, observation) })
  return {
    log,
    start: async (signal) => {
      await relay.start({ signal })
      log.info({ event: 'ready', lane: config.lane })
      return { stop: () => relay.stop({ graceMs }) }
    },
  }
})
