import { expect, test } from 'vitest'
import { ConfigError, loadConfig, loadConfigs, type Settings } from './load-config.ts'
import {
  connections,
  httpOrigins,
  instant,
  integer,
  laneName,
  oneOf,
  postgresUrl,
  rabbitmqUrl,
  secretVariables,
  text,
  token,
  withoutPassword,
} from './values.ts'

const settings = {
  databaseUrl: postgresUrl('DATABASE_URL'),
  lane: text('ESTEIRA_LANE', { fallback: 'pod-1' }),
  prefetch: integer('ESTEIRA_PREFETCH', { min: 1, max: 1000, fallback: 100 }),
  logLevel: oneOf('ESTEIRA_LOG_LEVEL', ['info', 'warn'], { fallback: 'info' }),
}
const databaseUrl = 'postgres://app:s3cret@db:5432/esteira'

const problemsOf = (env: Record<string, string>, wanted: Settings = settings): readonly string[] => {
  try {
    loadConfig(env, wanted)
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

test('a variable that two groups of settings read is told once', () => {
  const own = { databaseUrl: postgresUrl('DATABASE_URL') }
  expect(() => loadConfigs({}, settings, own)).toThrow(/^DATABASE_URL \([^)]+\) is not set$/)
  const env = { DATABASE_URL: databaseUrl }
  expect(loadConfigs(env, settings, own)[1]).toEqual({ databaseUrl })
})

test("an unknown variable is told with the nearest name, a neighbour's is not", () => {
  expect(problemsOf({ DATABASE_URL: databaseUrl, ESTEIRA_PREFECH: '7', ESTEIRA_ADMIN_TOKEN: 'x' })).toEqual([
    'ESTEIRA_PREFECH is not a variable of Esteira, did you mean "ESTEIRA_PREFETCH"?',
  ])
})

test('an address that cannot be read is told without its value', () => {
  const problems = problemsOf({ DATABASE_URL: 'mysql://app:s3cret@db/esteira' })
  expect(problems).toEqual([expect.stringContaining('its value is not')])
  expect(problems.join()).not.toContain('s3cret')
})

test('an address in which "%" stands for itself, and a name of a lane that is too long, are told', () => {
  const wanted = { rabbitmqUrl: rabbitmqUrl('RABBITMQ_URL'), lane: laneName('ESTEIRA_LANE') }
  const [address, name, ...others] = problemsOf(
    { RABBITMQ_URL: 'amqp://app:100%s3cret@broker', ESTEIRA_LANE: 'x'.repeat(254) },
    wanted,
  )
  expect(address).toMatch(/^RABBITMQ_URL .*: expected an address .* have "%25" where "%" stands for itself, its value/)
  expect(address).not.toContain('s3cret')
  expect(name).toMatch(/^ESTEIRA_LANE .*: expected a name of 1 to 253 characters/)
  expect(others).toEqual([])
  expect(problemsOf({ RABBITMQ_URL: 'amqp://app:100%25@broker', ESTEIRA_LANE: 'x'.repeat(253) }, wanted)).toEqual([])
})

test('a required variable that is missing is told with the one that was set in its place', () => {
  expect(problemsOf({ DATABSE_URL: databaseUrl, PGHOST: 'db' })).toEqual([
    expect.stringMatching(/^DATABASE_URL .* is not set; DATABSE_URL is set: did you mean it\?$/),
  ])
})

test('a misspelt variable that could be left out is told as well, so that it is not left out in silence', () => {
  const env = { DATABASE_URL: databaseUrl, RABITMQ_URL: 'amqp://broker', ESTERIA_LANE: 'web-1', PGHOST: 'db' }
  const wanted = { ...settings, rabbitmqUrl: { ...rabbitmqUrl('RABBITMQ_URL'), fallback: 'amqp://127.0.0.1' } }
  expect(problemsOf(env, wanted)).toEqual([
    'ESTERIA_LANE is not a variable of Esteira, did you mean "ESTEIRA_LANE"?',
    'RABITMQ_URL is not a variable of Esteira, did you mean "RABBITMQ_URL"?',
  ])
})

test("a neighbour's variable is not taken for a missing one, nor is any that resembles one that is set", () => {
  const wanted = { lane: text('ESTEIRA_CRON_LANE'), databaseUrl: postgresUrl('DATABASE_URL') }
  expect(problemsOf({ ESTEIRA_LANE: 'a', DATABASE_URL: databaseUrl, DATABASE_URI: 'x' }, wanted)).toEqual([
    expect.stringMatching(/^ESTEIRA_CRON_LANE .* is not set$/),
  ])
})

test('of a few words, the nearest is told, if one is near', () => {
  expect(problemsOf({ DATABASE_URL: databaseUrl, ESTEIRA_LOG_LEVEL: 'wran' })).toEqual([
    expect.stringMatching(/: expected one of info, warn, "wran" is not, did you mean "warn"\?$/),
  ])
})

test('a token that could be guessed is refused without its value, with a way to make one', () => {
  const wanted = { adminToken: token('ESTEIRA_ADMIN_TOKEN') }
  expect(problemsOf({ ESTEIRA_ADMIN_TOKEN: 'x'.repeat(31) }, wanted)).toEqual([
    'ESTEIRA_ADMIN_TOKEN (bearer token of the API): ' +
      'expected at least 32 characters, as "openssl rand -hex 32" makes them, its value is not',
  ])
  expect(problemsOf({ ESTEIRA_ADMIN_TOKEN: 'x'.repeat(32) }, wanted)).toEqual([])
})

test('connections are found by their names in lower case', () => {
  const env = { ESTEIRA_CONNECTION_CRM: databaseUrl, PATH: '/bin' }
  expect(loadConfig(env, { connections }).connections).toEqual(new Map([['crm', databaseUrl]]))
})

test('a connection that is no address is told with all other problems, without its value', () => {
  const problems = problemsOf({ ESTEIRA_CONNECTION_CRM: 's3cret', ESTEIRA_PREFETCH: '0' }, { ...settings, connections })
  expect(problems.map((problem) => problem.split(/[ :]/)[0])).toEqual([
    'DATABASE_URL',
    'ESTEIRA_PREFETCH',
    'ESTEIRA_CONNECTION_CRM',
  ])
  expect(problems.join()).not.toContain('s3cret')
})

test('secrets are found by their names in lower case, a process that has none of them lets them be', () => {
  const env = { DATABASE_URL: databaseUrl, ESTEIRA_SECRET_CRM_TOKEN: 'hidden', ESTEIRA_SECRET_EMPTY: '' }
  expect(problemsOf(env)).toEqual([])
  expect(problemsOf(env, { secretVariables })).toEqual(['ESTEIRA_SECRET_EMPTY: expected some text, its value is not'])
  const { secretVariables: found } = loadConfig({ ESTEIRA_SECRET_CRM_TOKEN: 'hidden' }, { secretVariables })
  expect(found).toEqual(new Map([['crm_token', 'hidden']]))
  expect(problemsOf({ DATABASE_URL: databaseUrl, ESTEIRA_SECRTE_CRM: 'x' })).toEqual([
    'ESTEIRA_SECRTE_CRM is not a variable of Esteira, did you mean "ESTEIRA_SECRET_CRM"?',
  ])
})

test('what Kubernetes tells of the Services beside a pod is no variable of Esteira, and sets none', () => {
  const linksOf = (service: string) => ({
    [`${service}_SERVICE_HOST`]: '10.0.0.7',
    [`${service}_SERVICE_PORT`]: '80',
    [`${service}_PORT`]: 'tcp://10.0.0.7:80',
    [`${service}_PORT_80_TCP_ADDR`]: '10.0.0.7',
  })
  const services = ['ESTEIRA', 'ESTEIRA_PREFETCH', 'RDSTATION', 'ESTEIRA_HEALTH', 'ESTEIRA_CONNECTION_CRM']
  const env = Object.assign({ DATABASE_URL: databaseUrl }, ...services.map(linksOf))
  const healthPort = integer('ESTEIRA_HEALTH_PORT', { min: 1, max: 65_535, fallback: null })
  const config = loadConfig(env, { ...settings, healthPort, connections })
  expect(config).toMatchObject({ databaseUrl, prefetch: 100, healthPort: null, connections: new Map() })
})

test('the name of a connection is in capital letters, so that no two of them are one', () => {
  const env = { DATABASE_URL: databaseUrl, ESTEIRA_CONNECTION_crm: databaseUrl, 'ESTEIRA_CONNECTION_A-B': databaseUrl }
  expect(problemsOf(env, { ...settings, connections })).toEqual([
    'ESTEIRA_CONNECTION_crm: expected capital letters, digits and "_" behind ESTEIRA_CONNECTION_, "crm" is not',
    'ESTEIRA_CONNECTION_A-B: expected capital letters, digits and "_" behind ESTEIRA_CONNECTION_, "A-B" is not',
  ])
})

test('a misspelt connection is told as one', () => {
  expect(problemsOf({ DATABASE_URL: databaseUrl, ESTEIRA_CONECTION_CRM: 'x' })).toEqual([
    'ESTEIRA_CONECTION_CRM is not a variable of Esteira, did you mean "ESTEIRA_CONNECTION_CRM"?',
  ])
})

test('an address is shown without its password', () => {
  expect(withoutPassword(`${databaseUrl}?sslmode=require`)).toBe('postgres://app@db:5432/esteira')
})

test('a fault of a variable that two groups read is told once', () => {
  const own = { most: integer('ESTEIRA_PREFETCH', { min: 1, max: 1000 }) }
  const load = () => loadConfigs({ DATABASE_URL: databaseUrl, ESTEIRA_PREFETCH: '0' }, settings, own)
  expect(load).toThrow(expect.objectContaining({ problems: [expect.stringContaining('ESTEIRA_PREFETCH')] }))
})

test('origins are a list, and what is more than an origin is refused', () => {
  const wanted = { origins: httpOrigins('ESTEIRA_RDSTATION_ORIGINS') }
  const of = (origins: string) => ({ ESTEIRA_RDSTATION_ORIGINS: origins })
  expect(loadConfig({}, wanted)).toEqual({ origins: [] })
  const two = ['https://api.example', 'http://127.0.0.1:8080']
  expect(loadConfig(of('https://api.example, http://127.0.0.1:8080'), wanted)).toEqual({ origins: two })
  for (const refused of [
    '',
    'api.example',
    'https://api.example,',
    'https://api.example/v1',
    'https://a@api.example',
  ]) {
    expect(problemsOf(of(refused), wanted)).toEqual([
      'ESTEIRA_RDSTATION_ORIGINS (where the credentials of RD Station may go besides RDSTATION_BASE_URL): ' +
        'expected origins such as https://host:port, with commas between them, its value is not',
    ])
  }
  expect(problemsOf(of('ftp://api.example'), wanted)).toHaveLength(1)
})

test('a moment is read in UTC, and what names none is refused', () => {
  const wanted = { since: instant('ESTEIRA_TICK_SINCE', { fallback: null }) }
  const at = (since: string) => ({ ESTEIRA_TICK_SINCE: since })
  expect(loadConfig({}, wanted)).toEqual({ since: null })
  for (const since of ['2026-11-26T18:00:30.250Z', '2026-11-26T18:00:30.25Z']) {
    expect(loadConfig(at(since), wanted)).toEqual({ since: new Date('2026-11-26T18:00:30.250Z') })
  }
  expect(loadConfig(at('2026-11-26T18:00:30Z'), wanted)).toEqual({ since: new Date('2026-11-26T18:00:30Z') })
  for (const refused of ['', 'now', '2026-11-26', '2026-11-26T18:00:30', '2026-13-26T18:00:30Z', '1764180030']) {
    expect(problemsOf(at(refused), wanted)).toEqual([
      expect.stringContaining(`expected a time in UTC such as 2026-11-26T18:00:30.250Z, "${refused}" is not`),
    ])
  }
})
