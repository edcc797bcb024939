import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pauseAfter } from './probe-queues.ts'

const turns = fc.double({ min: 0, max: 3_600_000, noNaN: true })
const randoms = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })

test('the search for lost messages turns every ten seconds or so, and in no case less than once in 75 s', () => {
  fc.assert(
    fc.property(turns, randoms, (turnMs, random) => {
      const pauseMs = pauseAfter(turnMs, random)
      expect(pauseMs).toBeGreaterThanOrEqual(10_000)
      expect(pauseMs).toBeLessThanOrEqual(75_000)
    }),
  )
  expect([pauseAfter(0, 0), pauseAfter(200, 0)]).toEqual([10_000, 10_000])
})

test('up to a minute its pause is no less than fifty times as long as the turn', () => {
  const quick = fc.double({ min: 0, max: 1_200, noNaN: true })
  fc.assert(
    fc.property(quick, randoms, (turnMs, random) => {
      expect(pauseAfter(turnMs, random)).toBeGreaterThanOrEqual(50 * turnMs)
    }),
  )
  // What a machine with much else to do made of one.
  expect(pauseAfter(44_000, 0)).toBe(60_000)
})
