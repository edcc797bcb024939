import { expect, test } from 'vitest'
import { etagOf, expectedVersion, requiredVersion } from './version-header.ts'

test('the version that was read can be sent back', () => {
  expect(expectedVersion(etagOf(12))).toBe(12)
})

test('a star or nothing is whichever version is there', () => {
  expect(expectedVersion('*')).toBeNull()
  expect(expectedVersion(undefined)).toBeNull()
})

test.each(['3', 'W/"3"', '"x"', '"3", "4"', '""', '"99999999999"'])('%s is no version', (header) => {
  expect(() => expectedVersion(header)).toThrow(expect.objectContaining({ code: 'version_invalid' }))
})

test('where a version is needed, leaving it out is refused', () => {
  expect(() => requiredVersion(undefined)).toThrow(expect.objectContaining({ code: 'version_required' }))
  expect(requiredVersion('"1"')).toBe(1)
})
