import { didYouMean, misspellingOf } from '../nearest.ts'
import { withoutServiceLinks } from './service-links.ts'
import type { Family, Parsed, Setting } from './values.ts'
import { connectionPrefix, ownPrefixes, secretPrefix, type VariableName, variables } from './variables.ts'

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
export type Settings = Record<string, Setting<unknown> | Family<unknown>>
/** The values of settings. */
export type Config<S extends Settings> = {
  [Key in keyof S]: S[Key] extends Setting<infer T> ? T : S[Key] extends Family<infer T> ? Map<string, T> : never
}

/**
 * Reads a process's settings from its environment, in which what Kubernetes tells of Services counts for nothing.
 *
 * @throws ConfigError with every problem at once: what is missing or misspelt, what is not as expected, unknown `ESTEIRA_`
 * or `RDSTATION_` variables with the nearest known name, and what the caller `found` before.
 */
export const loadConfig = <S extends Settings>(
  env: NodeJS.ProcessEnv,
  settings: S,
  found: readonly string[] = [],
): Config<S> => loadConfigs(env, settings, {}, found)[0]

/** As `loadConfig`, for two groups of settings whose problems are told together, once where both have a variable. */
export const loadConfigs = <A extends Settings, B extends Settings>(
  given: NodeJS.ProcessEnv,
  first: A,
  second: B,
  found: readonly string[] = [],
): [Config<A>, Config<B>] => {
  const env = withoutServiceLinks(given)
  const problems = [...unknownVariables(env), ...found]
  const configs = [readSettings(env, first, problems), readSettings(env, second, problems)] as const
  if (problems.length > 0 || !isComplete(configs[0], first) || !isComplete(configs[1], second)) {
    // Two groups may have a variable in common.
    throw new ConfigError([...new Set(problems)])
  }
  return [configs[0], configs[1]]
}

const readSettings = (env: NodeJS.ProcessEnv, settings: Settings, problems: string[]): Record<string, unknown> => {
  const config: Record<string, unknown> = {}
  for (const [key, setting] of Object.entries(settings)) {
    if ('prefix' in setting) {
      config[key] = readFamily(env, setting, problems)
      continue
    }
    const text = env[setting.variable]
    const about = `${setting.variable} (${variables[setting.variable]})`
    if (text === undefined) {
      const meant = meantFor(env, setting.variable)
      if (setting.fallback === undefined) {
        problems.push(`${about} is not set${meant === undefined ? '' : `; ${meant} is set: did you mean it?`}`)
      } else {
        config[key] = setting.fallback
        if (meant !== undefined) problems.push(notOfEsteira(meant, `, did you mean "${setting.variable}"?`))
      }
      continue
    }
    const parsed = setting.parse(text)
    if (parsed.ok) config[key] = parsed.value
    else problems.push(refusal(about, parsed, setting.secret ? 'its value' : JSON.stringify(text)))
  }
  return config
}

const readFamily = <T>(env: NodeJS.ProcessEnv, { prefix, parse }: Family<T>, problems: string[]): Map<string, T> => {
  const values = new Map<string, T>()
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(prefix) || text === undefined) continue
    const name = variable.slice(prefix.length)
    // Names are told apart in small letters, so two variables must not differ in that alone.
    if (!/^[A-Z0-9_]+$/.test(name)) {
      problems.push(`${variable}: expected capital letters, digits and "_" behind ${prefix}, "${name}" is not`)
      continue
    }
    const parsed = parse(text)
    if (parsed.ok) values.set(name.toLowerCase(), parsed.value)
    else problems.push(refusal(variable, parsed, 'its value'))
  }
  return values
}

const refusal = (about: string, { expected, hint }: Extract<Parsed<unknown>, { ok: false }>, came: string): string =>
  `${about}: expected ${expected}, ${came} is not${hint}`

const isComplete = <S extends Settings>(config: Record<string, unknown>, settings: S): config is Config<S> =>
  Object.keys(settings).every((key) => key in config)

/**
 * The variable that was set in place of one that is not. Whatever else is set is nobody's business here; names that are
 * ours are told, or used, as such.
 */
const meantFor = (env: NodeJS.ProcessEnv, wanted: VariableName): string | undefined =>
  misspellingOf(
    wanted,
    Object.keys(env).filter((name) => !isOurs(name) && !isKnown(name)),
  )

const unknownVariables = (env: NodeJS.ProcessEnv): string[] =>
  Object.keys(env)
    .filter((name) => isOurs(name) && !isKnown(name) && !families.some((prefix) => name.startsWith(prefix)))
    .map((name) =>
      notOfEsteira(
        name,
        didYouMean(name, [...Object.keys(variables), ...families.map((prefix) => asOneOf(prefix, name))]),
      ),
    )

const notOfEsteira = (name: string, hint: string): string => `${name} is not a variable of Esteira${hint}`

const isKnown = (name: string): boolean => Object.hasOwn(variables, name)

const isOurs = (name: string): boolean => ownPrefixes.some((prefix) => name.startsWith(prefix))

const families = [connectionPrefix, secretPrefix]

/** The name as it would be if its first two words were meant to be the prefix. */
const asOneOf = (prefix: string, name: string): string => prefix + name.split('_').slice(2).join('_')
