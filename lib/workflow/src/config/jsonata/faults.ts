import * as z from 'zod'
import { limits } from './limits.ts'

/** What JSONata throws: plain objects, often with the value that was at fault. */
const jsonataFault = z.looseObject({ code: z.string(), message: z.string(), position: z.number().optional() })
type JsonataFault = z.infer<typeof jsonataFault>

/** A fault of reading, when a value at fault is one of the expression itself. */
export const describeReading = (cause: unknown): string => describe(cause, ({ message }) => message)

/** A fault of evaluating, when a value at fault may be of the payload, and is not shown. */
export const describeEvaluating = (cause: unknown): string => describe(cause, wordsWithoutValue)

/** Whether an expression was ended because it took its time. */
export const tookItsTime = (cause: unknown): boolean => jsonataFault.safeParse(cause).data?.code === 'D1012'

const describe = (cause: unknown, wordsOf: (fault: JsonataFault) => string): string => {
  const fault = jsonataFault.safeParse(cause).data
  if (fault === undefined) return 'it cannot be evaluated'
  return fault.position === undefined ? wordsOf(fault) : `${wordsOf(fault)}, at character ${fault.position}`
}

/** No message shows a value of the payload, but that of `$error`, where the author wrote it. */
const wordsWithoutValue = (fault: JsonataFault): string => {
  const { code, message } = fault
  if (!('value' in fault)) return message
  const before = endsInValue.test(code) ? message.replace(/[:;].*$/s, '') : undefined
  return ownWords[code] ?? before ?? `a value does not fit (JSONata ${code})`
}

/** Faults whose message has the value after a colon, or not at all, or whose value is a limit of ours. */
const endsInValue = /^(T|D10|D3030|D3060|D3120|D3121|D3140)/

/** In place of messages that have the value in the middle. */
const ownWords: Record<string, string> = {
  T2007: 'The values that are sorted by must be of the same data type',
  T2009: 'The values on the two sides of a comparison must be of the same data type',
  D2015: `A sequence may have ${limits.sequence} items`,
  D3110: 'The argument of the toMillis function must be an ISO 8601 formatted timestamp',
}
