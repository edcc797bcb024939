import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import { loadSidecarConfig } from './config.ts'

const env = { DATABASE_URL: 'postgres://app:s3cret@db/app', RABBITMQ_URL: 'amqp://app:s3cret@rabbit/app' }

test('two addresses are enough: the lane is the host, the rest has its default', () => {
  expect(loadSidecarConfig(env)).toEqual({
    databaseUrl: env.DATABASE_URL,
    rabbitmqUrl: env.RABBITMQ_URL,
    lane: hostname(),
    pollMs: 5_000,
    window: 2_000,
    retryMs: 1_000,
    retryCapMs: 60_000,
    parkAfter: 10,
    confirmDeadlineMs: 30_000,
    brokerDeadlineMs: 5_000,
    adopt: 'yes',
    healthHost: '127.0.0.1',
    healthPort: null,
    graceMs: 25_000,
    logLevel: 'info',
  })
})

test('every setting can be given', () => {
  const given = {
    ...env,
    ESTEIRA_LANE: 'web-1',
    ESTEIRA_RELAY_POLL_MS: '1000',
    ESTEIRA_RELAY_WINDOW: '3000',
    ESTEIRA_RELAY_RETRY_MS: '200',
    ESTEIRA_RELAY_RETRY_CAP_MS: '5000',
    ESTEIRA_RELAY_PARK_AFTER: '3',
    ESTEIRA_RELAY_CONFIRM_DEADLINE_MS: '60000',
    ESTEIRA_RELAY_BROKER_DEADLINE_MS: '10000',
    ESTEIRA_RELAY_ADOPT: 'no',
    ESTEIRA_HEALTH_HOST: '0.0.0.0',
    ESTEIRA_HEALTH_PORT: '9464',
    ESTEIRA_GRACE_MS: '0',
    ESTEIRA_LOG_LEVEL: 'debug',
  }
  expect(loadSidecarConfig(given)).toMatchObject({
    lane: 'web-1',
    pollMs: 1_000,
    window: 3_000,
    retryMs: 200,
    retryCapMs: 5_000,
    parkAfter: 3,
    confirmDeadlineMs: 60_000,
    brokerDeadlineMs: 10_000,
    adopt: 'no',
    healthHost: '0.0.0.0',
    healthPort: 9_464,
    graceMs: 0,
    logLevel: 'debug',
  })
})

test('every problem is told at once, with what was expected and without secrets', () => {
  const wrong = {
    DATABASE_URL: 'mysql://app:s3cret@db/app',
    ESTEIRA_RELAY_POLL_MS: '50',
    ESTEIRA_RELAY_WINDOW: 'many',
    ESTEIRA_LOG_LEVEL: 'loud',
    ESTEIRA_RELAY_POL_MS: '1000',
  }
  const problems = [
    /^ESTEIRA_RELAY_POL_MS is not a variable of Esteira, did you mean "ESTEIRA_RELAY_POLL_MS"\?$/,
    /^DATABASE_URL .*: expected an address such as postgres:.*, its value is not$/,
    /^RABBITMQ_URL .* is not set$/,
    /^ESTEIRA_RELAY_POLL_MS .*: expected a whole number from 100 to 3600000, "50" is not$/,
    /^ESTEIRA_RELAY_WINDOW .*: expected a whole number from 1 to 10000, "many" is not$/,
    /^ESTEIRA_LOG_LEVEL .*: expected one of debug, info, warn, error, "loud" is not$/,
  ]
  expect(() => loadSidecarConfig(wrong)).toThrow(
    expect.objectContaining({ problems: problems.map((problem) => expect.stringMatching(problem)) }),
  )
})
