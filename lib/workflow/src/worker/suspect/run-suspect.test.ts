import { expect, test } from 'vitest'
import { suspectsFor } from './run-suspect.ts'
import type { Suspects } from './suspects.ts'

const suspects: Suspects = {
  attempt: () => Promise.reject(new Error('nobody is attempted here')),
  stop: () => {},
}
const fresh = { accepted: null }
const third = { deliveries: 2 }

test('a job is attempted apart from its third delivery on, where there is a program to do that', () => {
  expect(suspectsFor(fresh, { deliveries: 1 }, { suspects })).toBeNull()
  expect(suspectsFor(fresh, third, { suspects })).toBe(suspects)
  expect(suspectsFor(fresh, { deliveries: 17 }, { suspects })).toBe(suspects)
  expect(suspectsFor(fresh, third, { suspects: null })).toBeNull()
})

test('a job whose items are all there is in no process apart: no function is called for it', () => {
  expect(suspectsFor({ accepted: 'claim' }, third, { suspects })).toBeNull()
})
