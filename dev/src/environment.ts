import { loadConfig, postgresUrl, rabbitmqUrl, type Setting, text } from '@esteira/service'

/** A variable that may be left out. */
const optional = <T>(setting: Setting<T>): Setting<T | null> => ({ ...setting, fallback: null })

const settings = {
  databaseUrl: optional(postgresUrl('DATABASE_URL')),
  rabbitmqUrl: optional(rabbitmqUrl('RABBITMQ_URL')),
  adminToken: optional(text('ESTEIRA_ADMIN_TOKEN', { secret: true })),
}

/** Servers to use in place of ones of our own, and the API's token; null is what is not set. */
export type Environment = ReturnType<typeof readEnvironment>

/** @throws ConfigError that names every variable which is misspelt or does not fit. */
export const readEnvironment = (env: NodeJS.ProcessEnv) => loadConfig(env, settings)
