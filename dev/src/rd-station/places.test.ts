import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createPlaces } from './places.ts'

test('contacts stand where they would in a list in which they are moved', () => {
  const place = fc.nat({ max: 19 })
  fc.assert(
    fc.property(fc.array(fc.tuple(place, place), { maxLength: 20 }), (moves) => {
      const list = Array.from({ length: 20 }, (_, index) => index)
      const places = createPlaces()
      for (const [from, to] of moves) {
        list.splice(to, 0, ...list.splice(from, 1))
        places.move(from, to)
      }
      expect(list.map((_, index) => places.contactAt(index))).toEqual(list)
    }),
  )
})
