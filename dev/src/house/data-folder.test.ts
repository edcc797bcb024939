import { join } from 'node:path'
import { expect, test } from 'vitest'
import { dataFolderOf } from './data-folder.ts'

test('without one asked for, it is .esteira beside the code, wherever the start is called', () => {
  expect(dataFolderOf(null, '/somewhere')).toBe(join(import.meta.dirname, '../../../.esteira'))
})

test('one asked for is seen from where the start is called', () => {
  expect(dataFolderOf('data', '/somewhere/that/is/not')).toBe('/somewhere/that/is/not/data')
})
