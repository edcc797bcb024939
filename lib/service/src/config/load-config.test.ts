import { expect, test } from 'vitest'
import { ConfigError, loadConfig, loadConnections } from './load-config.ts'
import { integer, oneOf, postgresUrl, text, withoutPassword } from './values.ts'

const settings = {
  databaseUrl: postgresUrl('DATABASE_URL'),
  lane: text('ESTEIRA_LANE', { fallback: 'pod-1' }),
  prefetch: integer('ESTEIRA_PREFETCH', { min: 1, max: 1000, fallback: 100 }),
  logLevel: oneOf('ESTEIRA_LOG_LEVEL', ['info', 'warn'], { fallback: 'info' }),
}
const databaseUrl = 'postgres://app:s3cret@db:5432/esteira'

const problemsOf = (env: Record<string, string>): readonly string[] => {
  try {
    loadConfig(env, settings)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

test('what is not set falls back, what is set is read', () => {
  expect(loadConfig({ DATABASE_URL: databaseUrl, ESTEIRA_PREFETCH: '7', PATH: '/bin' }, settings)).toEqual({
    databaseUrl,
    lane: 'pod-1',
    prefetch: 7,
    logLevel: 'info',
  })
})

test('every problem is told at once, with what was expected', () => {
  expect(problemsOf({ ESTEIRA_PREFETCH: '0', ESTEIRA_LOG_LEVEL: 'loud' })).toEqual([
    'DATABASE_URL (Postgres that holds workflows, jobs and the outbox) is not set',
    expect.stringContaining('expected a whole number from 1 to 1000, "0" is not'),
    expect.stringContaining('expected one of info, warn, "loud" is not'),
  ])
})

test("an unknown variable is told with the nearest name, a neighbour's is not", () => {
  expect(problemsOf({ DATABASE_URL: databaseUrl, ESTEIRA_PREFECH: '7', ESTEIRA_ADMIN_TOKEN: 'x' })).toEqual([
    'ESTEIRA_PREFECH is not a variable of Esteira, did you mean ESTEIRA_PREFETCH?',
  ])
})

test('an address that cannot be read is told without its value', () => {
  const problems = problemsOf({ DATABASE_URL: 'mysql://app:s3cret@db/esteira' })
  expect(problems).toEqual([expect.stringContaining('its value is not')])
  expect(problems.join()).not.toContain('s3cret')
})

test('connections are found by their names in lower case', () => {
  expect(loadConnections({ ESTEIRA_CONNECTION_CRM: databaseUrl, PATH: '/bin' })).toEqual(
    new Map([['crm', databaseUrl]]),
  )
})

test('an address is shown without its password', () => {
  expect(withoutPassword(`${databaseUrl}?sslmode=require`)).toBe('postgres://app@db:5432/esteira')
})
