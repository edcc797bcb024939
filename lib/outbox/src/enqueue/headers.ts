import { OutboxError, reasonOf } from '../errors.ts'
import { isInstance } from '../values/is-instance.ts'
import { nameOfKind } from '../values/name-of-kind.ts'
import { lostKind } from '../lost-in-json.ts'
import type { Fault, MessageRow } from './message.ts'
import { faultOfShortString, shortStringBytes } from './short-string.ts'
import { unstorableText } from '../values/unstorable-text.ts'

/** amqplib encodes the headers of a message in a buffer of 64 KiB. Numbers take up to 9 bytes there. */
const headersBytes = 32 * 1024

/** RabbitMQ takes a list of further routing keys there, and closes the channel over anything else. */
const listHeaders = new Set(['CC', 'BCC'])

type Headers = MessageRow['headers']

/** The headers as they are written, each read once: it may be a getter. */
export const checkHeaders = (given: unknown, fault: Fault): Headers => {
  if (typeof given !== 'object' || given === null) throw fault(`headers: expected an object, got ${nameOfKind(given)}`)
  try {
    const kind = Array.isArray(given) ? 'array' : lostKind(given)
    if (kind !== null) throw fault(`headers: expected an object, got ${kind}`)
    if ('toJSON' in given) throw fault('headers: expected an object of names and values, got one with a toJSON')
    // On its way it would be the prototype of the others, and no header.
    if (Object.hasOwn(given, '__proto__')) throw fault('headers.__proto__: no header can have this name')
    const headers: Headers = {}
    for (const name of Object.keys(given)) headers[checkName(name, fault)] = readValue(given, name, fault)
    const bytes = Buffer.byteLength(JSON.stringify(headers))
    if (bytes > headersBytes) throw fault(`headers: expected at most ${headersBytes} bytes of JSON, got ${bytes}`)
    return headers
  } catch (cause) {
    throw isInstance(cause, OutboxError) ? cause : fault(`headers: expected an object, got ${unreadable(cause)}`, cause)
  }
}

const checkName = (name: string, fault: Fault): string => {
  const wrong = faultOfShortString(name)
  if (wrong !== null) {
    throw fault(`headers: expected names of at most ${shortStringBytes} bytes, ${wrong} in ${JSON.stringify(name)}`)
  }
  if (listHeaders.has(name)) throw fault(`headers.${name}: RabbitMQ takes a list there, which a header cannot be`)
  return name
}

const readValue = (headers: object, name: string, fault: Fault): Headers[string] => {
  const expected = `headers.${name}: expected text, a finite number or a boolean`
  let value: unknown
  try {
    value = Reflect.get(headers, name)
  } catch (cause) {
    throw fault(`${expected}, got ${unreadable(cause)}`, cause)
  }
  switch (typeof value) {
    case 'boolean':
      return value
    case 'string':
      if (unstorableText(value) === null) return value
      throw fault(`${expected}, got a NUL character or half of a surrogate pair`)
    case 'number':
      if (!Number.isFinite(value)) throw fault(`${expected}, got ${value}`)
      if (fitsAmqp(value)) return value
      throw fault(`headers.${name}: expected a number from -2^63 on, and a whole one from 2^50 on, got ${value}`)
    default:
      throw fault(`${expected}, got ${nameOfKind(value)}`)
  }
}

const unreadable = (cause: unknown): string => `what cannot be read: ${reasonOf(cause)}`

/** amqplib takes numbers from 2^50 on for whole ones, and writes those below 2^63 by 64 bits with a sign. */
const fitsAmqp = (value: number): boolean =>
  value >= -(2 ** 63) && (Number.isInteger(value) || Math.abs(value) < 2 ** 50)
