import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ControlPlaneError } from '../errors.ts'
import { isUuid, pageOf, pageRequest } from './pages.ts'

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

test('following the cursors shows every row once, in order, whatever the page size', () => {
  fc.assert(
    fc.property(fc.nat({ max: 40 }), fc.integer({ min: 1, max: 15 }), (count, limit) => {
      const seen: number[] = []
      let cursor: string | undefined
      do {
        const { after } = pageRequest('numbers', { limit, cursor }, (key) => /^\d+$/.test(key))
        const rows = numbers(count).filter((row) => row > Number(after ?? -1))
        const page = pageOf('numbers', limit, rows.slice(0, limit + 1), String, (row) => row)
        expect(page.items.length).toBeLessThanOrEqual(limit)
        seen.push(...page.items)
        cursor = page.nextCursor ?? undefined
      } while (cursor !== undefined)
      expect(seen).toEqual(numbers(count))
    }),
  )
})

test('a page that is just full and the last has no next', () => {
  expect(pageOf('numbers', 3, numbers(3), String, (row) => row).nextCursor).toBeNull()
  expect(pageOf('numbers', 3, numbers(4), String, (row) => row).nextCursor).not.toBeNull()
})

test('a key of any characters comes back as it went', () => {
  const { nextCursor } = pageOf(
    'functions',
    1,
    ['a:é/👋', 'b'],
    (row) => row,
    (row) => row,
  )
  expect(pageRequest('functions', { limit: 1, cursor: nextCursor ?? '' }, () => true).after).toBe('a:é/👋')
})

test.each([
  ['not ours', 'abc'],
  ['of another list', Buffer.from('jobs:019a0000-0000-7000-8000-000000000000').toString('base64url')],
  ['with a key that is none', Buffer.from('runs:1').toString('base64url')],
  ['without a key', Buffer.from('runs:').toString('base64url')],
])('a cursor %s is refused', (_, cursor) => {
  expect(() => pageRequest('runs', { limit: 1, cursor }, isUuid)).toThrow(
    expect.objectContaining({ code: 'cursor_invalid' } satisfies Partial<ControlPlaneError>),
  )
})
