import {
  connectionPrefix,
  connections,
  httpUrl,
  integer,
  loadConfig,
  oneOf,
  postgresUrl,
  rabbitmqUrl,
  secretPrefix,
  secretVariables,
  type Setting,
  text,
  token,
  variables,
} from '@esteira/service'
import { defaultCredentials } from './rd-station/index.ts'

/** A variable that may be left out. */
const optional = <T>(setting: Setting<T>): Setting<T | null> => ({ ...setting, fallback: null })

const settings = {
  databaseUrl: optional(postgresUrl('DATABASE_URL')),
  rabbitmqUrl: optional(rabbitmqUrl('RABBITMQ_URL')),
  rdStationUrl: optional(httpUrl('RDSTATION_BASE_URL')),
  clientId: text('RDSTATION_CLIENT_ID', { fallback: defaultCredentials.clientId }),
  clientSecret: text('RDSTATION_CLIENT_SECRET', { fallback: defaultCredentials.clientSecret, secret: true }),
  refreshToken: text('RDSTATION_REFRESH_TOKEN', { fallback: defaultCredentials.refreshToken, secret: true }),
  rateLimit: integer('RDSTATION_RATE_LIMIT', { min: 0, max: 10_000, fallback: 120 }),
  adminToken: optional(token('ESTEIRA_ADMIN_TOKEN')),
  // The house waits for a line that each process writes at "info" when it is ready.
  logLevel: oneOf('ESTEIRA_LOG_LEVEL', ['debug', 'info'], { fallback: 'info' }),
  connections,
  secretsDir: optional(text('ESTEIRA_SECRETS_DIR')),
  secretVariables,
}

/** What the environment gives in place of our own; null is what is not set. */
export type Environment = ReturnType<typeof readEnvironment>

/** @throws ConfigError that names every variable which is misspelt or does not fit. */
export const readEnvironment = (env: NodeJS.ProcessEnv) => {
  const {
    rdStationUrl,
    clientId,
    clientSecret,
    refreshToken,
    connections: given,
    secretsDir,
    secretVariables: secrets,
    ...servers
  } = loadConfig(env, settings, ignoredVariables(env))
  return {
    ...servers,
    /** An RD Station, or what stands in for it, that somebody else runs. */
    rdStation: rdStationUrl === null ? null : { baseUrl: rdStationUrl, clientId, clientSecret, refreshToken },
    /** Variables of connections for Database.query, beside `crm`. */
    connections: variablesOf(connectionPrefix, given),
    /** Variables of the secrets that configs name. */
    secrets: {
      ...(secretsDir === null ? {} : { ESTEIRA_SECRETS_DIR: secretsDir }),
      ...variablesOf(secretPrefix, secrets),
    },
  }
}

const variablesOf = (prefix: string, values: ReadonlyMap<string, string>): Record<string, string> =>
  Object.fromEntries([...values].map(([name, value]) => [prefix + name.toUpperCase(), value]))

/** Variables of Esteira that `npm start` would not heed, each with what to do instead. */
const ignoredVariables = (env: NodeJS.ProcessEnv): string[] => {
  const read = new Set<string>()
  for (const setting of Object.values(settings)) if ('variable' in setting) read.add(setting.variable)
  const isSet = (name: string) => env[name] !== undefined
  const ofNoUse = Object.keys(variables)
    .filter((name) => isSet(name) && !read.has(name))
    .map((name) => `${name} has no effect on npm start${insteadOf[name] ?? ''}; unset it`)
  const credentials = ['RDSTATION_CLIENT_ID', 'RDSTATION_CLIENT_SECRET', 'RDSTATION_REFRESH_TOKEN']
  const ofAccount = isSet('RDSTATION_BASE_URL')
    ? credentials.filter((name) => !isSet(name)).map((name) => `${name} is not set, which goes with RDSTATION_BASE_URL`)
    : credentials.filter(isSet).map((name) => `${name} is for the RD Station at RDSTATION_BASE_URL, which is not set`)
  const own = isSet(ownConnection) ? [`${ownConnection} is the house's own, the leads; take another name`] : []
  return [...ofNoUse, ...ofAccount, ...own]
}

const ownConnection = `${connectionPrefix}CRM`

const insteadOf: Record<string, string> = {
  ESTEIRA_HTTP_PORT: ', which takes --port',
  RDSTATION_LEADS: ', which takes --leads',
}
