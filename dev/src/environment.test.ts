import { ConfigError } from '@esteira/service'
import { expect, test } from 'vitest'
import { readEnvironment } from './environment.ts'

const problemsOf = (env: Record<string, string>): readonly string[] => {
  try {
    readEnvironment(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

test('an empty environment is enough, and what is set is taken', () => {
  expect(readEnvironment({ PATH: '/bin' })).toMatchObject({ databaseUrl: null, rdStation: null, logLevel: 'info' })
  expect(
    readEnvironment({
      ESTEIRA_LOG_LEVEL: 'debug',
      RDSTATION_BASE_URL: 'http://127.0.0.1:1',
      RDSTATION_CLIENT_ID: 'mine',
      RDSTATION_CLIENT_SECRET: 'secret',
      RDSTATION_REFRESH_TOKEN: 'token',
      RDSTATION_RATE_LIMIT: '0',
      ESTEIRA_CONNECTION_ERP: 'postgres://erp/erp',
      ESTEIRA_SECRETS_DIR: '/secrets',
      ESTEIRA_SECRET_ERP_TOKEN: 'hidden',
    }),
  ).toMatchObject({
    logLevel: 'debug',
    rdStation: { baseUrl: 'http://127.0.0.1:1', clientId: 'mine' },
    rateLimit: 0,
    connections: { ESTEIRA_CONNECTION_ERP: 'postgres://erp/erp' },
    secrets: { ESTEIRA_SECRETS_DIR: '/secrets', ESTEIRA_SECRET_ERP_TOKEN: 'hidden' },
  })
})

test('what would be ignored is refused, with what to do instead, and so is what is misspelt', () => {
  const env = {
    DATABSE_URL: 'postgres://db/esteira',
    ESTEIRA_HTTP_PORT: '8081',
    ESTEIRA_LANE: 'web-1',
    ESTEIRA_CONNECTION_CRM: 'postgres://crm/crm',
    ESTEIRA_LOG_LEVEL: 'warn',
    RDSTATION_CLIENT_ID: 'mine',
  }
  expect(problemsOf(env)).toEqual([
    'ESTEIRA_LANE has no effect on npm start; unset it',
    'ESTEIRA_HTTP_PORT has no effect on npm start, which takes --port; unset it',
    'RDSTATION_CLIENT_ID is for the RD Station at RDSTATION_BASE_URL, which is not set',
    "ESTEIRA_CONNECTION_CRM is the house's own, the leads; take another name",
    'DATABSE_URL is not a variable of Esteira, did you mean "DATABASE_URL"?',
    expect.stringMatching(/^ESTEIRA_LOG_LEVEL .*: expected one of debug, info, "warn" is not$/),
  ])
})

test("an address of RD Station alone would be called with the stand-in's credentials, so they are asked for", () => {
  expect(problemsOf({ RDSTATION_BASE_URL: 'http://127.0.0.1:1', RDSTATION_CLIENT_ID: 'mine' })).toEqual([
    'RDSTATION_CLIENT_SECRET is not set, which goes with RDSTATION_BASE_URL',
    'RDSTATION_REFRESH_TOKEN is not set, which goes with RDSTATION_BASE_URL',
  ])
})
