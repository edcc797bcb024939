import { isUint8Array } from 'node:util/types'
import { OutboxError, reasonOf } from '../errors.ts'
import { isInstance } from '../values/is-instance.ts'
import { isTooDeep, type Loss, lostInJson } from '../lost-in-json.ts'
import type { Fault, MessageRow } from './message.ts'
import { unstorableText } from '../values/unstorable-text.ts'

/** The payload as it is written: JSON text, or bytes. */
export const checkPayload = (
  payload: unknown,
  maxBytes: number,
  fault: Fault,
): Pick<MessageRow, 'payload' | 'bytes'> => {
  if (isUint8Array(payload)) {
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

const toJson = (payload: unknown, fault: Fault): string => {
  try {
    expectWhole(lostInJson(payload), fault)
    const json: unknown = JSON.stringify(payload)
    if (typeof json === 'string') return json
  } catch (cause) {
    if (isInstance(cause, OutboxError)) throw cause
    if (isTooDeep(cause)) throw fault('payload: expected a JSON value, got one that is nested too deeply')
    throw fault(`payload: expected a JSON value, got what cannot be read: ${reasonOf(cause)}`, cause)
  }
  throw fault(`payload: expected a JSON value, got ${typeof payload}`)
}

const expectWhole = (loss: Loss | null, fault: Fault): void => {
  if (loss === null) return
  const expected = loss.place === '' ? 'a JSON value or bytes (Uint8Array)' : 'a JSON value'
  throw fault(`payload${loss.place}: expected ${expected}, got ${loss.kind}`, loss.cause)
}
