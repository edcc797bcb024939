import { expect, test } from 'vitest'
import { createConfirmWatch } from './confirm-watch.ts'

const frame = (type: number, payload: number[]): Buffer => {
  const header = Buffer.alloc(7)
  header.writeUInt8(type, 0)
  header.writeUInt16BE(1, 1)
  header.writeUInt32BE(payload.length, 3)
  return Buffer.concat([header, Buffer.from(payload), Buffer.from([0xce])])
}
const ack = frame(1, [0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0])
const heartbeat = frame(8, [])
const consumeOk = frame(1, [0, 60, 0, 21, 3, 97, 98, 99])
/** The body of a message that looks like a confirm. */
const body = frame(3, [0, 60, 0, 80])

test('a confirm is found among other frames', () => {
  const watch = createConfirmWatch()
  expect(watch(Buffer.concat([heartbeat, consumeOk, body]))).toBe(false)
  expect(watch(Buffer.concat([heartbeat, ack]))).toBe(true)
})

test('a confirm that comes in pieces is found with its last byte, and once', () => {
  const watch = createConfirmWatch()
  const found = Array.from(Buffer.concat([consumeOk, ack, heartbeat]), (byte) => watch(Buffer.from([byte])))
  expect(found.flatMap((yes, index) => (yes ? [index] : []))).toEqual([consumeOk.length + ack.length - 1])
})
