import * as z from 'zod'
import { excerpt, mostShown } from '../excerpt.ts'
import { limits } from './limits.ts'

/** What JSONata throws: plain objects, often with the value that was at fault. */
const jsonataFault = z.looseObject({ code: z.string(), message: z.string(), position: z.number().optional() })
type JsonataFault = z.infer<typeof jsonataFault>

/** A fault of reading, when a value at fault is one of the expression itself. */
export const describeReading = (cause: unknown): string =>
  // JSONata's parser has no limit of its own: it calls itself for each level, and doubles its text for each `?:` in one.
  cause instanceof RangeError ? nestedTooDeeply : describe(cause, ({ message }) => message)

/** An expression of more levels than JSONata reads or evaluates. */
export const nestedTooDeeply = 'it is nested too deeply'

/** A fault of evaluating, when a value at fault may be of the payload, and is not shown. */
export const describeEvaluating = (cause: unknown): string => describe(cause, wordsWithoutValue)

/** Whether an expression was ended because it took its time. */
export const tookItsTime = (cause: unknown): boolean => jsonataFault.safeParse(cause).data?.code === 'D1012'

/** At which character of its expression a fault is, if it says so. */
export const placeOf = (cause: unknown): number | undefined => jsonataFault.safeParse(cause).data?.position

const describe = (cause: unknown, wordsOf: (fault: JsonataFault) => string): string => {
  const fault = jsonataFault.safeParse(cause).data
  if (fault === undefined) return `it cannot be evaluated${nameIn(cause)}`
  const words = excerpt(wordsOf(fault), mostShown)
  return fault.position === undefined ? words : `${words}, at character ${fault.position}`
}

/** What else is thrown is JavaScript's: its message may have any value, its name has none. */
const namedFault = z.object({ name: z.string() })

const nameIn = (cause: unknown): string => {
  const { data } = namedFault.safeParse(cause)
  return data === undefined ? '' : ` (${data.name})`
}

/** No message shows a value of the payload. */
const wordsWithoutValue = (fault: JsonataFault): string => {
  const { code, message } = fault
  const own = ownWords[code]
  if (own !== undefined) return own
  if (!('value' in fault)) return message
  if (!endsInValue.test(code)) return `a value does not fit (JSONata ${code})`
  return message.replace(/[:;].*$/s, '').replace(' of function undefined ', ' of the function that is called ')
}

/** Faults whose message has the value after a colon, or not at all, or whose value is a limit of ours. */
const endsInValue = /^(T|D10|D30|D312|D3131|D3134|D3135|D3136|D3138|D3139|D3140)/

/** In place of messages that have the value in the middle, or are a text that may be made of one. */
const ownWords: Record<string, string> = {
  T2007: 'The values that are sorted by must be of the same data type',
  T2009: 'The values on the two sides of a comparison must be of the same data type',
  D2015: `A sequence may have ${limits.sequence} items`,
  D2014: `A range may have ${limits.sequence} items`,
  D3100: 'The radix of the formatBase function must be between 2 and 36',
  D3110: 'The argument of the toMillis function must be an ISO 8601 formatted timestamp',
  D3130: 'Integers are not formatted or parsed in such a sequence',
  D3132: 'The picture string of a date and time has a component that is not known',
  D3133: "The 'name' modifier of a picture string is for months and days only",
  D3137: 'The $error function was called',
  D3141: 'What the $assert function was given is false',
}
