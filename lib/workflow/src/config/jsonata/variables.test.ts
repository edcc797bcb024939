import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { functionNames } from './variables.ts'

test('the functions that are known are those that the library has', () => {
  const library = readFileSync(fileURLToPath(import.meta.resolve('jsonata')), 'utf8')
  const bound = [...library.matchAll(/(?:staticFrame|environment)\.bind\('(\w+)', /g)].map(([, name]) => name)
  expect(bound.length).toBeGreaterThan(50)
  expect(new Set(functionNames)).toEqual(new Set(bound))
})
