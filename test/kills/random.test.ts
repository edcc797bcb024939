import { expect, test } from 'vitest'
import { randomFrom } from './random.ts'
import { blowsIn, type Blow } from './strike.ts'

const all: Blow[] = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((victim) => ({ victim, how: 'killed' }))
const firstOf = (seed: number) =>
  blowsIn(all, randomFrom(seed))
    .take(2 * all.length)
    .toArray()

test('a seed gives the same blows at the same times again, and another seed others', () => {
  expect(firstOf(7)).toEqual(firstOf(7))
  expect(firstOf(8)).not.toEqual(firstOf(7))
})

test('each blow comes once before any comes again', () => {
  const victims = firstOf(7).map(({ victim }) => victim)
  expect(new Set(victims.slice(0, all.length)).size).toBe(all.length)
  expect(new Set(victims.slice(all.length)).size).toBe(all.length)
})

test('what is drawn is spread from 0 up to 1', () => {
  const random = randomFrom(1)
  const drawn = Array.from({ length: 10_000 }, random)
  const tenths = Array.from({ length: 10 }, (_, tenth) => drawn.filter((n) => Math.floor(n * 10) === tenth).length)
  expect(Math.min(...tenths)).toBeGreaterThan(800)
  expect(Math.max(...drawn)).toBeLessThan(1)
})
