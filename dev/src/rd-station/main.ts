import { createLog, integer, loadConfig, logLevels, oneOf, runMain, text } from '@esteira/service'
import { startRdStation } from './server.ts'
import { defaultCredentials, type RdStationEvent } from './stand-in.ts'

const settings = {
  logLevel: oneOf('ESTEIRA_LOG_LEVEL', logLevels, { fallback: 'info' }),
  port: integer('RDSTATION_PORT', { min: 0, max: 65_535, fallback: 0 }),
  leads: integer('RDSTATION_LEADS', { min: 0, max: 100_000_000, fallback: 1_000 }),
  rateLimit: integer('RDSTATION_RATE_LIMIT', { min: 0, max: 1_000_000, fallback: 120 }),
  clientId: text('RDSTATION_CLIENT_ID', { fallback: defaultCredentials.clientId }),
  clientSecret: text('RDSTATION_CLIENT_SECRET', { fallback: defaultCredentials.clientSecret, secret: true }),
  refreshToken: text('RDSTATION_REFRESH_TOKEN', { fallback: defaultCredentials.refreshToken, secret: true }),
}

process.exitCode = await runMain(() => {
  const { logLevel, port, leads, rateLimit, clientId, clientSecret, refreshToken } = loadConfig(process.env, settings)
  const log = createLog('rd-station', logLevel)
  const observe = (event: RdStationEvent) => {
    if (event.kind === 'failed') log.error({ event: 'request.failed', path: event.path, err: event.error })
    else log.debug({ event: 'request.answered', path: event.path, outcome: event.outcome, ms: event.ms })
  }
  return {
    log,
    start: async () => {
      const { url, stop } = await startRdStation({
        port,
        leads,
        rateLimitPerMinute: rateLimit === 0 ? null : rateLimit,
        credentials: { clientId, clientSecret, refreshToken },
        observe,
      })
      log.info({ event: 'ready', url })
      return { stop }
    },
  }
})
