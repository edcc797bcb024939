import { isDate } from 'node:util/types'
import { validate as isUuid, v7 as uuidv7 } from 'uuid'
import { OutboxError, reasonOf } from '../errors.ts'
import { isInstance } from '../values/is-instance.ts'
import { nameOfKind } from '../values/name-of-kind.ts'
import { numberOrKind } from '../option-checks.ts'
import { checkHeaders } from './headers.ts'
import { checkPayload } from './payload.ts'
import { faultOfShortString, shortStringBytes } from './short-string.ts'

/** A message that is published because its transaction commits. */
export type OutboxMessage = {
  /** At most 255 bytes; the default exchange unless given, whose routing keys are names of queues. */
  exchange?: string | undefined
  /** At most 255 bytes. */
  routingKey: string
  /** Anything that JSON can hold, or bytes. */
  payload: unknown
  headers?: Record<string, string | number | boolean> | undefined
  /** A UUID, a new one of version 7 unless given. A message that is published twice keeps it. */
  messageId?: string | undefined
  /**
   * Messages of one key reach the broker in the order in which their transactions commit: at most 255 bytes. Writers of
   * one key wait for each other until they commit.
   */
  orderingKey?: string | undefined
  /** Not to be published before this many milliseconds from the call on, by the database's clock. */
  delayMs?: number | undefined
  /** Not to be published before this time, instead of `delayMs`. */
  availableAt?: Date | undefined
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

/** A hundred years: beyond it an interval is more likely a mistake than a wish. */
const longestDelayMs = 100 * 366 * 24 * 60 * 60 * 1000

/** Dates beyond have a notation of their own, which Postgres does not read. */
const [earliest, latest] = [Date.parse('0001-01-01T00:00:00Z'), Date.parse('+010000-01-01T00:00:00Z')]

const members = ['exchange', 'routingKey', 'payload', 'headers', 'messageId', 'orderingKey', 'delayMs', 'availableAt']
const known = new Set(members)

/** Makes the error of a message out of what is wrong with it, with the place, and with its cause where there is one. */
export type Fault = (what: string, cause?: unknown) => OutboxError

/**
 * The message as it is written. `place` names it in the error, e.g. `message 3`.
 *
 * @throws OutboxError `message_invalid` with the member and what was expected of it.
 */
export const checkMessage = (message: OutboxMessage, place: string, maxPayloadBytes: number): MessageRow => {
  const fault: Fault = (what, cause) => new OutboxError('message_invalid', `${place}: ${what}`, { cause })
  const given = membersOf(message, fault)
  const { exchange = '', routingKey, headers = {}, messageId, orderingKey, delayMs, availableAt, payload } = given
  const expectShort = (member: string, value: unknown) => {
    const wrong = faultOfShortString(value)
    if (wrong !== null) throw fault(`${member}: expected text of at most ${shortStringBytes} bytes, ${wrong}`)
  }
  expectShort('exchange', exchange)
  expectShort('routingKey', routingKey)
  if (orderingKey !== undefined) expectShort('orderingKey', orderingKey)
  if (messageId !== undefined && !isUuid(messageId)) {
    const got = typeof messageId === 'string' ? JSON.stringify(messageId) : nameOfKind(messageId)
    throw fault(`messageId: expected a UUID, got ${got}`)
  }
  if (delayMs !== undefined && !(Number.isFinite(delayMs) && delayMs >= 0 && delayMs <= longestDelayMs)) {
    throw fault(`delayMs: expected milliseconds from 0 to ${longestDelayMs}, got ${numberOrKind(delayMs)}`)
  }
  if (orderingKey === '') throw fault('orderingKey: expected text of 1 to 255 bytes, got none')
  if (availableAt !== undefined && delayMs !== undefined) {
    throw fault('availableAt: expected either this or delayMs, got both')
  }
  return {
    messageId: messageId ?? uuidv7(),
    exchange,
    routingKey,
    orderingKey: orderingKey ?? null,
    headers: checkHeaders(headers, fault),
    ...checkPayload(payload, maxPayloadBytes, fault),
    availableAt: availableAt === undefined ? null : checkTime(availableAt, fault),
    delayMs: delayMs === undefined || delayMs === 0 ? null : delayMs,
  }
}

/** The members, each read once: it may be a getter, and what was checked is what is written. */
const membersOf = (message: OutboxMessage, fault: Fault): OutboxMessage => {
  // From JavaScript anything may come.
  const given: unknown = message
  if (nameOfKind(given) !== 'object') {
    throw fault(`expected an object with a routingKey and a payload, got ${nameOfKind(given)}`)
  }
  try {
    for (const member of Object.keys(message)) {
      if (!known.has(member)) throw fault(`${member} is no member of a message, which has ${members.join(', ')}`)
    }
  } catch (cause) {
    throw isInstance(cause, OutboxError) ? cause : fault(`its members cannot be read: ${reasonOf(cause)}`, cause)
  }
  const read = <Member extends keyof OutboxMessage>(member: Member): OutboxMessage[Member] => {
    try {
      return message[member]
    } catch (cause) {
      throw fault(`${member}: cannot be read: ${reasonOf(cause)}`, cause)
    }
  }
  return {
    exchange: read('exchange'),
    routingKey: read('routingKey'),
    payload: read('payload'),
    headers: read('headers'),
    messageId: read('messageId'),
    orderingKey: read('orderingKey'),
    delayMs: read('delayMs'),
    availableAt: read('availableAt'),
  }
}

/** By the methods of `Date` itself: what comes may be of a class of its own, or only look like one. */
const checkTime = (date: Date, fault: Fault): string => {
  const time = isDate(date) ? Date.prototype.getTime.call(date) : Number.NaN
  if (time >= earliest && time < latest) return new Date(time).toISOString()
  const got = isDate(date) ? whenOf(time) : nameOfKind(date)
  throw fault(`availableAt: expected a Date in the years 1 to 9999, got ${got}`)
}

const whenOf = (time: number): string =>
  Number.isNaN(time) ? 'an invalid Date' : `the year ${new Date(time).getUTCFullYear()}`
