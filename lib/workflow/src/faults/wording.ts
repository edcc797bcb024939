import { didYouMean } from '@esteira/service'
import type * as z from 'zod'

/** How a message tells what came: `quote`, or `describeKind` where the value must not be shown. */
export type Tell = (value: unknown) => string

/** What does not hold for a value, as zod found it: what was expected, and what came instead. */
export const wordingOf = (issue: z.core.$ZodIssue, value: unknown, tell: Tell = quote): string => {
  const fault = faultOf(issue, value, tell)
  return value === undefined ? `is missing, ${fault}` : fault
}

const faultOf = (issue: z.core.$ZodIssue, value: unknown, tell: Tell): string => {
  switch (issue.code) {
    case 'invalid_type':
      return mustBe(issue.expected, value, tell)
    case 'invalid_value':
      return mustBeOneOf(issue.values, value, tell)
    case 'too_small':
      return atLeast(issue.minimum, { unit: units[issue.origin], exclusive: issue.inclusive === false })
    case 'too_big':
      return atMost(issue.maximum, { unit: units[issue.origin], exclusive: issue.inclusive === false })
    case 'invalid_format':
      if (issue.pattern === String(notBlank)) return 'must not be blank'
      return issue.pattern === undefined || issue.format in formats
        ? `must be ${formats[issue.format] ?? issue.format}${cameInstead(value, tell)}`
        : `must match ${issue.pattern}`
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`
    default:
      return issue.message
  }
}

/** What a name has to match. */
export const notBlank = /\S/

/** `type` is a name of zod or JSON Schema: `int`, `record`, `boolean`. */
export const mustBe = (type: string, value: unknown, tell: Tell = quote): string =>
  `must be ${kinds[type] ?? type}${cameInstead(value, tell)}`

/** Of several values, the nearest is told, if one is near. */
export const mustBeOneOf = (values: readonly unknown[], value: unknown, tell: Tell = quote): string => {
  const words = values.map((word) => JSON.stringify(word))
  if (words.length === 1) return `must be ${words[0]}${cameInstead(value, tell)}`
  const hint = typeof value === 'string' ? didYouMean(value, values.map(String)) : ''
  return `must be one of ${words.join(', ')}${cameInstead(value, tell)}${hint}`
}

type Bound = { unit?: string | undefined; exclusive?: boolean }

/** The least size in a unit, or the least number where there is none. */
export const atLeast = (least: number | bigint, { unit, exclusive = false }: Bound = {}): string => {
  if (unit === undefined) return `must be ${exclusive ? 'more than' : 'at least'} ${least}`
  return Number(least) === 1 ? 'must not be empty' : `must have at least ${least} ${unit}`
}

/** The greatest size in a unit, or the greatest number where there is none. */
export const atMost = (most: number | bigint, { unit, exclusive = false }: Bound = {}): string =>
  unit === undefined ? `must be ${exclusive ? 'less than' : 'at most'} ${most}` : `must have at most ${most} ${unit}`

const kinds: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  record: 'an object',
}

const formats: Record<string, string> = {
  guid: 'a UUID',
  uuid: 'a UUID',
  datetime: 'an ISO date and time with its zone, such as 2026-01-31T09:00:00Z',
  url: 'an address such as https://example.com',
}

const units: Record<string, string> = { string: 'characters', array: 'items' }

/** As many characters as a line of an answer bears. */
const maxQuoted = 40

const quote: Tell = (value) => {
  if (typeof value === 'object' && value !== null) return describeKind(value)
  const text = JSON.stringify(value)
  return text.length > maxQuoted ? 'a long string' : text
}

/** What a value is, for a message that must not show it. */
export const describeKind: Tell = (value) => {
  if (value === null) return 'null'
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

const cameInstead = (value: unknown, tell: Tell): string => (value === undefined ? '' : `, ${tell(value)} came`)
