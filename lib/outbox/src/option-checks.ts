import { isBoxedPrimitive, isPromise } from 'node:util/types'
import { didYouMean } from './did-you-mean.ts'
import { kindOf, lostKind } from './lost-in-json.ts'
import { unstorableText } from './values/unstorable-text.ts'
import { OutboxError, reasonOf } from './errors.ts'
import { isInstance } from './values/is-instance.ts'
import { nameOfKind } from './values/name-of-kind.ts'

/** Never with the value of a text: an address may hold a password. */
export const optionFault = (option: string, what: string, cause?: unknown): OutboxError =>
  new OutboxError('option_invalid', `${option}: ${what}`, { cause })

/**
 * The options that `taker` takes: an object with no other members than these. From JavaScript anything may come, and a name
 * that is misspelt would leave its default.
 *
 * @throws OutboxError `option_invalid` with the option and what was expected, as all of these do.
 */
export const expectOptions = (taker: string, names: readonly string[], given: unknown, within = ''): void => {
  const whole = within === '' ? 'options' : within.slice(0, -1)
  expectType(whole, given, 'object')
  const { kind, members } = readOptions(whole, given)
  if (kind !== null) throw optionFault(whole, `expected ${kinds.object}, got ${kind}`)
  for (const name of members) {
    if (names.includes(name)) continue
    throw optionFault(`${within}${name}`, `${taker} has no such option${didYouMean(name, names)}`)
  }
}

/** What is not to be had of an object, as of a proxy that was revoked. */
export const unreadable = (option: string, cause: unknown): OutboxError =>
  optionFault(option, `expected ${kinds.object}, got what cannot be read: ${reasonOf(cause)}`, cause)

/** The names of its members, and what it is if they are not all that it is. */
const readOptions = (whole: string, given: unknown): { kind: string | null; members: string[] } => {
  try {
    const kind = standsForOther(given) ? kindOf(given) : lostKind(Object(given))
    return { kind, members: Object.keys(Object(given)) }
  } catch (cause) {
    throw unreadable(whole, cause)
  }
}

/** As a promise that nobody awaited, whatever members it was given, or a number as an object: it would leave all defaults. */
const standsForOther = (given: unknown): given is object => isPromise(given) || isBoxedPrimitive(given)

const kinds = {
  string: 'text',
  boolean: 'true or false',
  function: 'a function',
  object: 'an object',
  bigint: 'a bigint',
}

export const expectType = (option: string, value: unknown, type: keyof typeof kinds): void => {
  const kind = nameOfKind(value)
  if (kind !== type) throw optionFault(option, `expected ${kinds[type]}, got ${kind}`)
}

export const expectSignal = (option: string, value: unknown): void => {
  if (value === undefined || isInstance(value, AbortSignal)) return
  throw optionFault(option, `expected an AbortSignal, got ${nameOfKind(value)}`)
}

export const expectWhole = (option: string, value: unknown, min: number, max: number): void => {
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return
  throw optionFault(option, `expected a whole number from ${min} to ${max}, got ${numberOrKind(value)}`)
}

/** Expects milliseconds, parts of one as well, and without end if that is the longest. */
export const expectMs = (option: string, value: unknown, longest = Number.POSITIVE_INFINITY): void => {
  if (typeof value === 'number' && value >= 0 && value <= longest) return
  const range = longest === Number.POSITIVE_INFINITY ? '' : ` from 0 to ${longest}`
  throw optionFault(option, `expected milliseconds${range}, got ${numberOrKind(value)}`)
}

/** A number as it is, and of everything else what it is. */
export const numberOrKind = (value: unknown): string => (typeof value === 'number' ? String(value) : nameOfKind(value))

/** What is wrong with a name that is a key in a table, or null. */
export const faultOfName = (value: unknown, longest: number): string | null => {
  if (typeof value !== 'string') return `expected text, got ${nameOfKind(value)}`
  if (value.length < 1 || value.length > longest) {
    return `expected a name of 1 to ${longest} characters, got ${value.length}`
  }
  return unstorableText(value) === null ? null : 'got a NUL character or half of a surrogate pair'
}

/** The largest number of Postgres' type integer. */
export const largestInteger = 2 ** 31 - 1
