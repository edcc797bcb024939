import { ConfigError } from '@esteira/service'
import { expect, test } from 'vitest'
import { loadControlPlaneConfig } from './config.ts'

const env = { DATABASE_URL: 'postgres://u:p@localhost/x', ESTEIRA_ADMIN_TOKEN: 's'.repeat(32), ESTEIRA_CRON: 'off' }

const problemsOf = (given: NodeJS.ProcessEnv): readonly string[] => {
  try {
    loadControlPlaneConfig(given)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

test('what is not set has its default', () => {
  expect(loadControlPlaneConfig(env)).toMatchObject({
    lane: 'control-plane',
    httpHost: '127.0.0.1',
    httpPort: 8080,
    maxPayloadBytes: 1_048_576,
    consumerTimeoutMs: 1_800_000,
    logLevel: 'info',
    cron: null,
  })
})

test('who fires ticks is never chosen silently', () => {
  const { ESTEIRA_CRON: _, ...without } = env
  expect(problemsOf(without)).toEqual(['ESTEIRA_CRON (who fires the ticks of CronJob steps) is not set'])
  expect(problemsOf({ ...env, ESTEIRA_CRON: 'locale' })).toEqual([
    'ESTEIRA_CRON (who fires the ticks of CronJob steps): expected one of local, off, "locale" is not, did you mean "local"?',
  ])
})

test('a short token is refused', () => {
  expect(problemsOf({ ...env, ESTEIRA_ADMIN_TOKEN: 'secret' })).toEqual([
    expect.stringMatching(/^ESTEIRA_ADMIN_TOKEN .*at least 32 characters/),
  ])
})

test('the local scheduler needs its program and lane, and says so with all else that is missing', () => {
  expect(problemsOf({ ESTEIRA_CRON: 'local' }).map((problem) => problem.split(' ')[0])).toEqual([
    'DATABASE_URL',
    'ESTEIRA_ADMIN_TOKEN',
    'ESTEIRA_CRON_PROGRAM',
    'ESTEIRA_CRON_LANE',
  ])
  const local = { ...env, ESTEIRA_CRON: 'local', ESTEIRA_CRON_PROGRAM: '/x/main.ts', ESTEIRA_CRON_LANE: 'cron' }
  expect(loadControlPlaneConfig(local).cron).toEqual({ program: '/x/main.ts', lane: 'cron' })
})
