import { expect, test } from 'vitest'
import type { LaneRow } from '../read/lane-row.ts'
import { tellSend } from './on-send.ts'

const rowWith = (headers: Record<string, unknown>): LaneRow => ({
  id: 1n,
  messageId: '0190b1a2-7a4f-7c3e-9d1b-2f5d8e9a1c34',
  exchange: '',
  routingKey: 'orders',
  orderingKey: null,
  headers,
  payload: 'null',
  size: 0,
  createdAt: 0,
})

test.each([
  ['a promise', async () => {}],
  ['null', () => null],
  ['object', () => ({})],
])('what hears of sends and returns %s is told what was expected of it', (got, onSend) => {
  // As from JavaScript, which no type keeps from it.
  expect(() => Reflect.apply(tellSend, null, [onSend, rowWith({})])).toThrow(
    expect.objectContaining({
      code: 'option_invalid',
      message: `onSend: expected it to return a function or undefined, got ${got}`,
    }),
  )
})

test('what it changes in the headers reaches no message, nor what it changes within one of them', () => {
  const row = rowWith({ traceparent: 'as it was', tags: { first: [1] } })
  tellSend(({ headers }) => {
    headers.traceparent = 'changed'
    headers.added = 1
    Object.assign(Object(headers.tags), { second: [2] })
    return undefined
  }, row)
  expect(row.headers).toEqual({ traceparent: 'as it was', tags: { first: [1] } })
})
