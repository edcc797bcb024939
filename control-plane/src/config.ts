import { integer, loadConfig, logLevels, oneOf, postgresUrl, text, token } from '@esteira/service'
import { defaultConsumerTimeoutMs, maxPayloadRange } from '@esteira/workflow'

/** Who fires the ticks of CronJob steps: the local scheduler, or nobody here. It is never chosen silently. */
const cronModes = ['local', 'off'] as const

const settings = {
  databaseUrl: postgresUrl('DATABASE_URL'),
  lane: text('ESTEIRA_LANE', { fallback: 'control-plane' }),
  adminToken: token('ESTEIRA_ADMIN_TOKEN'),
  httpHost: text('ESTEIRA_HTTP_HOST', { fallback: '127.0.0.1' }),
  httpPort: integer('ESTEIRA_HTTP_PORT', { min: 0, max: 65_535, fallback: 8080 }),
  maxPayloadBytes: integer('ESTEIRA_MAX_PAYLOAD_BYTES', maxPayloadRange),
  consumerTimeoutMs: integer('ESTEIRA_CONSUMER_TIMEOUT_MS', {
    min: 1_000,
    max: 86_400_000,
    fallback: defaultConsumerTimeoutMs,
  }),
  graceMs: integer('ESTEIRA_GRACE_MS', { min: 0, max: 600_000, fallback: 20_000 }),
  cron: oneOf('ESTEIRA_CRON', cronModes),
  logLevel: oneOf('ESTEIRA_LOG_LEVEL', logLevels, { fallback: 'info' }),
}

const localCronSettings = {
  cronProgram: text('ESTEIRA_CRON_PROGRAM'),
  cronLane: text('ESTEIRA_CRON_LANE'),
}

/** What the control plane is started with. `cron` is null where nobody here fires ticks. */
export type Config = Omit<ReturnType<typeof loadConfig<typeof settings>>, 'cron'> & {
  cron: { program: string; lane: string } | null
}

/** @throws ConfigError with every problem of the environment. */
export const loadControlPlaneConfig = (env: NodeJS.ProcessEnv): Config => {
  if (env.ESTEIRA_CRON !== 'local') return { ...loadConfig(env, settings), cron: null }
  const { cronProgram, cronLane, ...config } = loadConfig(env, { ...settings, ...localCronSettings })
  return { ...config, cron: { program: cronProgram, lane: cronLane } }
}
