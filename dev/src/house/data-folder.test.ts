import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { dataFolderOf } from './data-folder.ts'

const folderWith = (...names: string[]): string => {
  const folder = mkdtempSync(join(tmpdir(), 'esteira-data-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of names) writeFileSync(join(folder, name), '')
  return folder
}

test('without one asked for, it is .esteira beside the code, wherever the start is called', () => {
  expect(dataFolderOf(null, '/somewhere')).toBe(join(import.meta.dirname, '../../../.esteira'))
})

test('one asked for is seen from where the start is called', () => {
  expect(dataFolderOf('data', '/somewhere/that/is/not')).toBe('/somewhere/that/is/not/data')
})

test.each([
  { what: 'an empty folder', names: [] },
  { what: 'data of an earlier start', names: ['stack.json', 'postgres', 'rabbitmq'] },
  { what: 'a start that was killed at once', names: ['lock', 'lock.4711'] },
])('$what is taken', ({ names }) => {
  const folder = folderWith(...names)
  expect(dataFolderOf(folder, '/')).toBe(folder)
})

test('a folder that holds something else is refused', () => {
  const folder = folderWith('lock', 'letter.txt')
  mkdirSync(join(folder, 'postgres'))
  expect(() => dataFolderOf(folder, '/')).toThrow(`${folder} holds something else`)
})
