import { hostname } from 'node:os'
import { integer, laneName, loadConfig, logLevels, oneOf, postgresUrl, rabbitmqUrl, text } from '@esteira/service'

/**
 * Where the relay carries from and to, and how; times in milliseconds.
 *
 * @throws ConfigError with every problem at once.
 */
export const loadSidecarConfig = (env: NodeJS.ProcessEnv) =>
  loadConfig(env, {
    databaseUrl: postgresUrl('DATABASE_URL'),
    rabbitmqUrl: rabbitmqUrl('RABBITMQ_URL'),
    /** A pod's host name is its own name, which its worker writes to as well. */
    lane: laneName('ESTEIRA_LANE', { fallback: hostname() }),
    pollMs: integer('ESTEIRA_RELAY_POLL_MS', { min: 100, max: 3_600_000, fallback: 5_000 }),
    window: integer('ESTEIRA_RELAY_WINDOW', { min: 1, max: 10_000, fallback: 2_000 }),
    retryMs: integer('ESTEIRA_RELAY_RETRY_MS', { min: 1, max: 3_600_000, fallback: 1_000 }),
    retryCapMs: integer('ESTEIRA_RELAY_RETRY_CAP_MS', { min: 1, max: 86_400_000, fallback: 60_000 }),
    parkAfter: integer('ESTEIRA_RELAY_PARK_AFTER', { min: 1, max: 1_000, fallback: 10 }),
    confirmDeadlineMs: integer('ESTEIRA_RELAY_CONFIRM_DEADLINE_MS', { min: 100, max: 3_600_000, fallback: 30_000 }),
    brokerDeadlineMs: integer('ESTEIRA_RELAY_BROKER_DEADLINE_MS', { min: 100, max: 3_600_000, fallback: 5_000 }),
    adopt: oneOf('ESTEIRA_RELAY_ADOPT', ['yes', 'no'], { fallback: 'yes' }),
    /** The kubelet comes by the pod's address, which is then to be given. */
    healthHost: text('ESTEIRA_HEALTH_HOST', { fallback: '127.0.0.1' }),
    /** Without it nothing is served: several relays of one machine would want the same. */
    healthPort: integer('ESTEIRA_HEALTH_PORT', { min: 1, max: 65_535, fallback: null }),
    /** Below the 30 s that Kubernetes gives a pod by itself. */
    graceMs: integer('ESTEIRA_GRACE_MS', { min: 0, max: 600_000, fallback: 25_000 }),
    logLevel: oneOf('ESTEIRA_LOG_LEVEL', logLevels, { fallback: 'info' }),
  })
