import { nearest } from '../nearest.ts'
import type { Setting } from './values.ts'
import { connectionPrefix, ownPrefixes, variables } from './variables.ts'

/** The environment does not say what the process needs. `problems` has one line for each fault. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'config_invalid'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

/** A process's settings by the names it uses for them. */
export type Settings = Record<string, Setting<unknown>>
/** The values of settings. */
export type Config<S extends Settings> = { [Key in keyof S]: S[Key] extends Setting<infer T> ? T : never }

/**
 * Reads a process's settings from its environment.
 *
 * @throws ConfigError with every problem at once: what is missing, what is not as expected, and unknown `ESTEIRA_` or
 * `RDSTATION_` variables with the nearest known name.
 */
export const loadConfig = <S extends Settings>(env: NodeJS.ProcessEnv, settings: S): Config<S> =>
  loadConfigs(env, settings, {})[0]

/** As `loadConfig`, for two groups of settings whose problems are told together. */
export const loadConfigs = <A extends Settings, B extends Settings>(
  env: NodeJS.ProcessEnv,
  first: A,
  second: B,
): [Config<A>, Config<B>] => {
  const problems = unknownVariables(env)
  const configs = [readSettings(env, first, problems), readSettings(env, second, problems)] as const
  if (problems.length > 0 || !isComplete(configs[0], first) || !isComplete(configs[1], second)) {
    throw new ConfigError(problems)
  }
  return [configs[0], configs[1]]
}

const readSettings = (env: NodeJS.ProcessEnv, settings: Settings, problems: string[]): Record<string, unknown> => {
  const config: Record<string, unknown> = {}
  for (const [key, setting] of Object.entries(settings)) {
    const text = env[setting.variable]
    const about = `${setting.variable} (${variables[setting.variable]})`
    if (text === undefined) {
      if (setting.fallback === undefined) problems.push(`${about} is not set`)
      else config[key] = setting.fallback
      continue
    }
    const parsed = setting.parse(text)
    if (parsed.ok) {
      config[key] = parsed.value
    } else {
      const came = setting.secret ? 'its value' : JSON.stringify(text)
      problems.push(`${about}: expected ${parsed.expected}, ${came} is not`)
    }
  }
  return config
}

const isComplete = <S extends Settings>(config: Record<string, unknown>, settings: S): config is Config<S> =>
  Object.keys(settings).every((key) => key in config)

/** The connections that `ESTEIRA_CONNECTION_<NAME>` variables give, by their name in lower case. */
export const loadConnections = (env: NodeJS.ProcessEnv): Map<string, string> => {
  const connections = new Map<string, string>()
  const problems: string[] = []
  for (const [variable, url] of Object.entries(env)) {
    if (!variable.startsWith(connectionPrefix) || url === undefined) continue
    if (URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol)) {
      connections.set(variable.slice(connectionPrefix.length).toLowerCase(), url)
    } else {
      problems.push(
        `${variable}: expected an address such as postgres://user:password@host:port/name, its value is not`,
      )
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return connections
}

const unknownVariables = (env: NodeJS.ProcessEnv): string[] => {
  const known = Object.keys(variables)
  return Object.keys(env)
    .filter((name) => ownPrefixes.some((prefix) => name.startsWith(prefix)))
    .filter((name) => !known.includes(name) && !name.startsWith(connectionPrefix))
    .map((name) => `${name} is not a variable of Esteira, did you mean ${nearest(name, known)}?`)
}
