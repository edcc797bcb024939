import {
  connectionPrefix,
  connections,
  httpUrl,
  loadConfig,
  postgresUrl,
  rabbitmqUrl,
  type Setting,
  text,
  token,
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
  adminToken: optional(token('ESTEIRA_ADMIN_TOKEN')),
  connections,
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
    ...servers
  } = loadConfig(env, settings)
  return {
    ...servers,
    /** An RD Station, or what stands in for it, that somebody else runs. */
    rdStation: rdStationUrl === null ? null : { baseUrl: rdStationUrl, clientId, clientSecret, refreshToken },
    /** Variables of connections for Database.query, beside `crm`. */
    connections: Object.fromEntries([...given].map(([name, url]) => [connectionPrefix + name.toUpperCase(), url])),
  }
}
