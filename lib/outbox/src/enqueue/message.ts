import { validate as isUuid, v7 as uuidv7 } from 'uuid'
import { OutboxError } from '../errors.ts'
import { nameOfKind } from '../name-of-kind.ts'
import { lostInJson } from './lost-in-json.ts'
import { unstorableText } from './unstorable-text.ts'

/** A message that is published because its transaction commits. */
export type OutboxMessage = {
  /** At most 255 bytes; the default exchange unless given, whose routing keys are names of queues. */
  exchange?: string
  /** At most 255 bytes. */
  routingKey: string
  /** Anything that JSON can hold, or bytes. */
  payload: unknown
  headers?: Record<string, string | number | boolean>
  /** A UUID, a new one of version 7 unless given. A message that is published twice keeps it. */
  messageId?: string
  /**
   * Messages of one key reach the broker in the order in which their transactions commit: at most 255 bytes. Writers of
   * one key wait for each other until they commit.
   */
  orderingKey?: string
  /** Not to be published before this many milliseconds from the call on, by the database's clock. */
  delayMs?: number
  /** Not to be published before this time, instead of `delayMs`. */
  availableAt?: Date
}

/** A checked message. */
export type MessageRow = {
  messageId: string
  exchange: string
  routingKey: string
  orderingKey: string | null
  headers: Record<string, string | number | boolean>
  /** JSON text; null for bytes. */
  payload: string | null
  /** Hexadecimal. */
  bytes: string | null
  delayMs: number | null
  availableAt: string | null
}

/** AMQP's short strings, which names of exchanges and headers and routing keys are. */
const shortStringBytes = 255

/** amqplib encodes the headers of a message in a buffer of 64 KiB. Numbers take up to 9 bytes there. */
const headersBytes = 32 * 1024

/** RabbitMQ takes a list of further routing keys there, and closes the channel over anything else. */
const listHeaders = new Set(['CC', 'BCC'])

/** A hundred years: beyond it an interval is more likely a mistake than a wish. */
const longestDelayMs = 100 * 366 * 24 * 60 * 60 * 1000

/** Dates beyond have a notation of their own, which Postgres does not read. */
const [earliest, latest] = [new Date('0001-01-01T00:00:00Z'), new Date('+010000-01-01T00:00:00Z')]

const members = ['exchange', 'routingKey', 'payload', 'headers', 'messageId', 'orderingKey', 'delayMs', 'availableAt']
const known = new Set(members)

/**
 * The message as it is written. `place` names it in the error, e.g. `message 3`.
 *
 * @throws OutboxError `message_invalid` with the member and what was expected of it.
 */
export const checkMessage = (message: OutboxMessage, place: string, maxPayloadBytes: number): MessageRow => {
  const fault = (what: string) => new OutboxError('message_invalid', `${place}: ${what}`)
  // From JavaScript anything may come.
  const given: unknown = message
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw fault(`expected an object with a routingKey and a payload, got ${nameOfKind(given)}`)
  }
  for (const member of Object.keys(message)) {
    if (!known.has(member)) throw fault(`${member} is no member of a message, which has ${members.join(', ')}`)
  }
  const { exchange = '', routingKey, headers = {}, messageId, orderingKey, delayMs, availableAt } = message
  const expectShort = (member: string, value: unknown) => {
    const wrong = faultOfShortString(value)
    if (wrong !== null) throw fault(`${member}: expected text of at most ${shortStringBytes} bytes, ${wrong}`)
  }
  expectShort('exchange', exchange)
  expectShort('routingKey', routingKey)
  if (orderingKey !== undefined) expectShort('orderingKey', orderingKey)
  if (messageId !== undefined && !isUuid(messageId)) {
    throw fault(`messageId: expected a UUID, got ${JSON.stringify(messageId)}`)
  }
  if (delayMs !== undefined && !(Number.isFinite(delayMs) && delayMs >= 0 && delayMs <= longestDelayMs)) {
    throw fault(`delayMs: expected milliseconds from 0 to ${longestDelayMs}, got ${delayMs}`)
  }
  if (orderingKey === '') throw fault('orderingKey: expected text of 1 to 255 bytes, got none')
  if (availableAt !== undefined) {
    if (delayMs !== undefined) throw fault('availableAt: expected either this or delayMs, got both')
    if (!(availableAt instanceof Date) || !(availableAt >= earliest && availableAt < latest)) {
      throw fault('availableAt: expected a Date in the years 1 to 9999')
    }
  }
  const wrong = faultOfHeaders(headers)
  if (wrong !== null) throw fault(wrong)
  return {
    messageId: messageId ?? uuidv7(),
    exchange,
    routingKey,
    orderingKey: orderingKey ?? null,
    headers,
    ...checkPayload(message.payload, maxPayloadBytes, fault),
    availableAt: availableAt?.toISOString() ?? null,
    delayMs: delayMs === undefined || delayMs === 0 ? null : delayMs,
  }
}

const faultOfShortString = (value: unknown): string | null => {
  if (typeof value !== 'string') return `got ${nameOfKind(value)}`
  if (Buffer.byteLength(value) > shortStringBytes) return `got ${Buffer.byteLength(value)} bytes`
  return unstorableText(value) === null ? null : 'got a NUL character or half of a surrogate pair'
}

const faultOfHeaders = (headers: unknown): string | null => {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    return `headers: expected an object, got ${nameOfKind(headers)}`
  }
  const loss = lostInJson(headers)
  if (loss?.place === '') return `headers: expected an object, got ${loss.kind}`
  if ('toJSON' in headers) return 'headers: expected an object of names and values, got one with a toJSON'
  for (const [name, value] of Object.entries<unknown>({ ...headers })) {
    const wrongName = faultOfShortString(name)
    if (wrongName !== null) {
      return `headers: expected names of at most ${shortStringBytes} bytes, ${wrongName} in ${JSON.stringify(name)}`
    }
    if (name === '__proto__') return 'headers.__proto__: no header can have this name'
    if (listHeaders.has(name)) return `headers.${name}: RabbitMQ takes a list there, which a header cannot be`
    const expected = `headers.${name}: expected text, a finite number or a boolean`
    if (typeof value === 'number' ? !Number.isFinite(value) : !['string', 'boolean'].includes(typeof value)) {
      return `${expected}, got ${typeof value === 'number' ? value : nameOfKind(value)}`
    }
    if (typeof value === 'number' && !fitsAmqp(value)) {
      return `headers.${name}: expected a number from -2^63 on, and a whole one from 2^50 on, got ${value}`
    }
    if (unstorableText(value) !== null) return `${expected}, got a NUL character or half of a surrogate pair`
  }
  const bytes = Buffer.byteLength(JSON.stringify(headers))
  return bytes > headersBytes ? `headers: expected at most ${headersBytes} bytes of JSON, got ${bytes}` : null
}

/** amqplib takes numbers from 2^50 on for whole ones, and writes those below 2^63 by 64 bits with a sign. */
const fitsAmqp = (value: number): boolean =>
  value >= -(2 ** 63) && (Number.isInteger(value) || Math.abs(value) < 2 ** 50)

const checkPayload = (
  payload: unknown,
  maxBytes: number,
  fault: (what: string) => OutboxError,
): Pick<MessageRow, 'payload' | 'bytes'> => {
  if (payload instanceof Uint8Array) {
    if (payload.length > maxBytes) throw fault(`payload: expected at most ${maxBytes} bytes, got ${payload.length}`)
    return { payload: null, bytes: Buffer.from(payload).toString('hex') }
  }
  const json = toJson(payload, fault)
  const bytes = Buffer.byteLength(json)
  if (bytes > maxBytes) throw fault(`payload: expected at most ${maxBytes} bytes of JSON, got ${bytes}`)
  // The escapes are rare, so a payload is read a second time only when one of them may be in it.
  if (!/\\u(0000|d[89a-f])/.test(json)) return { payload: json, bytes: null }
  const place = unstorableText(JSON.parse(json))
  if (place !== null) {
    throw fault(`payload${place}: a NUL character or half of a surrogate pair, which Postgres cannot read`)
  }
  return { payload: json, bytes: null }
}

const toJson = (payload: unknown, fault: (what: string) => OutboxError): string => {
  try {
    const loss = lostInJson(payload)
    if (loss !== null) {
      const expected = loss.place === '' ? 'a JSON value or bytes (Uint8Array)' : 'a JSON value'
      throw fault(`payload${loss.place}: expected ${expected}, got ${loss.kind}`)
    }
    const json: unknown = JSON.stringify(payload)
    if (typeof json === 'string') return json
  } catch (cause) {
    if (cause instanceof OutboxError) throw cause
    if (cause instanceof RangeError) throw fault('payload: expected a JSON value, got one that is nested too deeply')
    throw fault(`payload: expected a JSON value, ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  throw fault(`payload: expected a JSON value, got ${typeof payload}`)
}
