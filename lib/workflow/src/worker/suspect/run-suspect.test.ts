import { expect, test } from 'vitest'
import { suspectsFor } from './run-suspect.ts'
import type { Suspects } from './suspects.ts'

const suspects: Suspects = {
  attempt: () => Promise.reject(new Error('nobody is attempted here')),
  stop: () => {},
}
const plain = { isResumable: false }
const fresh = { emitted: 0, accepted: null }
const third = { deliveries: 2 }

test('a job is attempted apart from its third delivery on, where there is a program to do that', () => {
  expect(suspectsFor(plain, fresh, { deliveries: 1 }, { suspects })).toBeNull()
  expect(suspectsFor(plain, fresh, third, { suspects })).toBe(suspects)
  expect(suspectsFor(plain, fresh, { deliveries: 17 }, { suspects })).toBe(suspects)
  expect(suspectsFor(plain, fresh, third, { suspects: null })).toBeNull()
})

test('a job that has given items, or whose function can go on behind them, begins nowhere but in place', () => {
  expect(suspectsFor({ isResumable: true }, fresh, third, { suspects })).toBeNull()
  expect(suspectsFor(plain, { ...fresh, emitted: 3 }, third, { suspects })).toBeNull()
  expect(suspectsFor(plain, { ...fresh, accepted: 'claim' }, third, { suspects })).toBeNull()
})
