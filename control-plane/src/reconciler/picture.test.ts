import { expect, test } from 'vitest'
import { createPicture } from './picture.ts'
import type { Actual } from './plan-changes.ts'

const object = (change: Partial<Actual> = {}): Actual => ({
  stepId: 'a',
  name: 'leads',
  uid: 'uid-a',
  resourceVersion: '9',
  generation: 1,
  createdAt: new Date(0),
  deleting: false,
  labels: {},
  annotations: {},
  owners: [],
  ...change,
})

test('what is heard late, after a newer answer, changes nothing', () => {
  const picture = createPicture([object()])
  picture.put(object({ resourceVersion: '10', generation: 2 }))
  expect(picture.see({ deleted: false, object: object({ resourceVersion: '9', generation: 1 }) })).toBe(false)
  expect(picture.objects()).toEqual([object({ resourceVersion: '10', generation: 2 })])
})

test('a Job that began is no news; a change, a new object and one that is gone are', () => {
  const picture = createPicture([object()])
  expect(picture.see({ deleted: false, object: object({ resourceVersion: '11' }) })).toBe(false)
  expect(picture.see({ deleted: false, object: object({ resourceVersion: '12', generation: 2 }) })).toBe(true)
  expect(picture.see({ deleted: false, object: object({ uid: 'uid-b', resourceVersion: '13' }) })).toBe(true)
  expect(picture.see({ deleted: true, object: object({ resourceVersion: '14' }) })).toBe(true)
  expect(picture.see({ deleted: true, object: object({ resourceVersion: '14' }) })).toBe(false)
  expect(picture.objects().map(({ uid }) => uid)).toEqual(['uid-b'])
})

test('versions are compared as numbers, however long', () => {
  const picture = createPicture([object({ resourceVersion: '99999999999999999999' })])
  picture.put(object({ resourceVersion: '100000000000000000000', generation: 2 }))
  expect(picture.objects()[0]?.generation).toBe(2)
})
