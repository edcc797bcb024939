import { didYouMean } from '../nearest.ts'
import { connectionPrefix, secretPrefix, type VariableName } from './variables.ts'

/** How the text of one variable becomes a value: the value, or what was expected instead of the text, with a hint. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; expected: string; hint: string }

/** One variable of a process: its name, how it is read, and what holds when it is not set. */
export type Setting<T> = {
  variable: VariableName
  parse: (text: string) => Parsed<T>
  /** A missing variable without a fallback is a problem. */
  fallback?: T
  /** The value never appears in a message. */
  secret: boolean
}

/**
 * All variables with a prefix, each read alike. They become a map by the rest of their names in lower case; their values
 * never appear in a message.
 */
export type Family<T> = { prefix: string; parse: (text: string) => Parsed<T> }

/** Any text that is not empty. */
export const text = (variable: VariableName, options: { fallback?: string; secret?: boolean } = {}): Setting<string> =>
  setting(variable, (value) => (value === '' ? expected('some text') : found(value)), options)

/** The name of a lane of the outbox. */
export const laneName = (variable: VariableName, options: { fallback?: string } = {}): Setting<string> =>
  setting(
    variable,
    (value) =>
      value.length >= 1 && value.length <= longestLaneName
        ? found(value)
        : expected(`a name of 1 to ${longestLaneName} characters`),
    options,
  )

/** Those of the outbox's register: the longest that Kubernetes gives a pod. */
const longestLaneName = 253

/** A secret that guards something by itself, so it must be too long to be guessed. */
export const token = (variable: VariableName): Setting<string> =>
  setting(
    variable,
    (value) =>
      value.length >= minTokenLength
        ? found(value)
        : expected(`at least ${minTokenLength} characters, as "openssl rand -hex 32" makes them`),
    { secret: true },
  )

/** 128 bits, when the characters are hexadecimal digits. */
const minTokenLength = 32

/** A whole number within a range, both ends included. */
export const integer = <Fallback extends number | null = number>(
  variable: VariableName,
  options: { min: number; max: number; fallback?: Fallback },
): Setting<number | Fallback> =>
  setting<number | Fallback>(
    variable,
    (value) => {
      const number = Number(value)
      return /^-?\d+$/.test(value) && number >= options.min && number <= options.max
        ? found(number)
        : expected(`a whole number from ${options.min} to ${options.max}`)
    },
    options,
  )

/** A moment, as `Date` writes it in JSON: with its seconds, and in UTC. */
export const instant = <Fallback extends Date | null = Date>(
  variable: VariableName,
  options: { fallback?: Fallback } = {},
): Setting<Date | Fallback> =>
  setting<Date | Fallback>(
    variable,
    (value) => {
      const isUtc = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/.test(value)
      return isUtc && !Number.isNaN(Date.parse(value))
        ? found(new Date(value))
        : expected('a time in UTC such as 2026-11-26T18:00:30.250Z')
    },
    options,
  )

/** A UUID in its usual form. */
export const uuid = (variable: VariableName): Setting<string> =>
  setting(
    variable,
    (value) => (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value) ? found(value) : expected('a UUID')),
    {},
  )

/** One of a few words. */
export const oneOf = <const Word extends string>(
  variable: VariableName,
  words: readonly Word[],
  options: { fallback?: NoInfer<Word> } = {},
): Setting<Word> =>
  setting(
    variable,
    (value) => {
      const word = words.find((candidate) => candidate === value)
      return word === undefined ? expected(`one of ${words.join(', ')}`, didYouMean(value, words)) : found(word)
    },
    options,
  )

/** The address of a service, with its password; `withoutPassword` makes it fit to be shown. */
export const serviceUrl = (
  variable: VariableName,
  protocols: readonly string[],
  options: { fallback?: string } = {},
): Setting<string> => setting(variable, addressOf(protocols), { ...options, secret: true })

const addressOf =
  (protocols: readonly string[]) =>
  (value: string): Parsed<string> => {
    const url = URL.parse(value)
    if (url === null || !protocols.includes(url.protocol)) {
      return expected(`an address such as ${protocols[0]}//user:password@host:port/name`)
    }
    return [url.username, url.password, url.pathname].every(canDecode)
      ? found(value)
      : expected('an address whose user, password and path have "%25" where "%" stands for itself')
  }

const canDecode = (part: string): boolean => {
  try {
    decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

const postgresProtocols = ['postgres:', 'postgresql:']

export const postgresUrl = (variable: VariableName): Setting<string> => serviceUrl(variable, postgresProtocols)

/** The Postgres databases that `ESTEIRA_CONNECTION_<NAME>` variables give, by their names. */
export const connections: Family<string> = { prefix: connectionPrefix, parse: addressOf(postgresProtocols) }

/** The secrets that `ESTEIRA_SECRET_<NAME>` variables give, by their names. */
export const secretVariables: Family<string> = {
  prefix: secretPrefix,
  parse: (value) => (value === '' ? expected('some text') : found(value)),
}

export const rabbitmqUrl = (variable: VariableName): Setting<string> => serviceUrl(variable, ['amqp:', 'amqps:'])

const httpProtocols = ['https:', 'http:']

export const httpUrl = (variable: VariableName, options: { fallback?: string } = {}): Setting<string> =>
  serviceUrl(variable, httpProtocols, options)

/** Origins of http or https, with commas between them; none if it is not set. */
export const httpOrigins = (variable: VariableName): Setting<readonly string[]> =>
  setting<readonly string[]>(
    variable,
    (value) => {
      const origins = value.split(',').map((part) => part.trim())
      return origins.every(isHttpOrigin)
        ? found(origins)
        : expected('origins such as https://host:port, with commas between them')
    },
    // Somebody may have written a password into one.
    { fallback: [], secret: true },
  )

/** What an origin has besides, a user or a path, would mean nothing. */
const isHttpOrigin = (address: string): boolean => {
  if (!URL.canParse(address)) return false
  const { protocol, origin, href } = new URL(address)
  return httpProtocols.includes(protocol) && href === `${origin}/`
}

/** The address as it may be logged: user, host, port and path, never the password or the query. */
export const withoutPassword = (address: string): string => {
  const url = new URL(address)
  const user = url.username === '' ? '' : `${url.username}@`
  return `${url.protocol}//${user}${url.host}${url.pathname}`
}

const found = <T>(value: T): Parsed<T> => ({ ok: true, value })

const expected = (what: string, hint = ''): Parsed<never> => ({ ok: false, expected: what, hint })

const setting = <T>(
  variable: VariableName,
  parse: (text: string) => Parsed<T>,
  options: { fallback?: T; secret?: boolean },
): Setting<T> => ({
  variable,
  parse,
  secret: options.secret ?? false,
  ...(options.fallback === undefined ? {} : { fallback: options.fallback }),
})
