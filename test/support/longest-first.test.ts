import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { long, longestFirst } from './longest-first.ts'

const root = new URL('../../', import.meta.url)

test('what takes long is run first, the longest before the others, which stay in their order', () => {
  const [longest = '', next = ''] = long
  const files = ['z.test.ts', next, 'a.test.ts', longest, 'm.test.ts'].map((path) => `/clone/${path}`)
  expect(longestFirst(files, (file) => file)).toEqual(
    [longest, next, 'z.test.ts', 'a.test.ts', 'm.test.ts'].map((path) => `/clone/${path}`),
  )
})

test('every file that is named as long is there', () => {
  expect(long.filter((path) => !existsSync(new URL(path, root)))).toEqual([])
})
