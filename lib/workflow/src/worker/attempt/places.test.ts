import { expect, test } from 'vitest'
import { places, placesByName } from './places.ts'

test('no more than there are places run at a time, in the order in which they came, also after one that fails', async () => {
  const inPlace = places(2)
  const begun: number[] = []
  const gates = [1, 2, 3, 4].map(() => Promise.withResolvers<number>())
  const works = gates.map(({ promise }, index) =>
    inPlace(() => {
      begun.push(index)
      return promise
    }),
  )
  expect(begun).toEqual([0, 1])
  gates[1]?.reject(new Error('no'))
  await expect(works[1]).rejects.toThrow('no')
  expect(begun).toEqual([0, 1, 2])
  for (const gate of gates) gate.resolve(7)
  expect(await Promise.all([works[0], works[2], works[3]])).toEqual([7, 7, 7])
  expect(begun).toEqual([0, 1, 2, 3])
})

test('who waits for a place waits for those of the same name alone', async () => {
  const placesOf = placesByName(1)
  const gate = Promise.withResolvers<void>()
  const slow = placesOf('slow')(() => gate.promise)
  let isThrough = false
  const behind = placesOf('slow')(async () => {
    isThrough = true
  })
  expect(await placesOf('quick')(async () => 'through')).toBe('through')
  expect(isThrough).toBe(false)
  gate.resolve()
  await Promise.all([slow, behind])
  expect(isThrough).toBe(true)
})
