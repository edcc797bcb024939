import { expect, test } from 'vitest'
import { isSampled, spanContextOf, traceparentOf } from './traceparent.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'

test.each([0, 1])('a place is read as it was written, flags %i', (traceFlags) => {
  const written = traceparentOf({ traceId, spanId, traceFlags })
  expect(written).toBe(`00-${traceId}-${spanId}-0${traceFlags}`)
  const place = spanContextOf(written)
  expect(place).toEqual({ traceId, spanId, traceFlags, isRemote: true })
  expect(place && isSampled(place)).toBe(traceFlags === 1)
})

test.each([
  '',
  'trace',
  `00-${traceId}-${spanId}`,
  `00-${'0'.repeat(32)}-${spanId}-01`,
  `00-${traceId}-${'0'.repeat(16)}-01`,
  `00-${traceId}-${spanId}-01, 00-${traceId}-${spanId}-01`,
])('"%s" is no place', (text) => {
  expect(spanContextOf(text)).toBeUndefined()
})
