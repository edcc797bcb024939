import { nameOfKind } from '../values/name-of-kind.ts'
import { unstorableText } from '../values/unstorable-text.ts'

/** AMQP's short strings, which names of exchanges and headers and routing keys are. */
export const shortStringBytes = 255

/** What is wrong with a value that is to be one, or null. */
export const faultOfShortString = (value: unknown): string | null => {
  if (typeof value !== 'string') return `got ${nameOfKind(value)}`
  if (Buffer.byteLength(value) > shortStringBytes) return `got ${Buffer.byteLength(value)} bytes`
  return unstorableText(value) === null ? null : 'got a NUL character or half of a surrogate pair'
}
