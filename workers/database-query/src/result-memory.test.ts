import { expect, test } from 'vitest'
import { createResultMemory } from './result-memory.ts'

const mib = (count: number) => ({ bytes: count * 1024 * 1024, values: 0 })

test('one transaction has up to 64 MiB, and others beside it up to 4', () => {
  const memory = createResultMemory()
  const [one, other] = [memory.open(), memory.open()]
  one.keep(mib(60))
  other.keep(mib(3))
  expect(() => other.keep(mib(1))).toThrow(expect.objectContaining({ code: 'memory_taken', final: false }))
  one.keep(mib(3))
  expect(() => one.keep(mib(1))).toThrow(expect.objectContaining({ code: 'result_too_large', final: true }))
})

test('whoever comes when that one is closed may have it, and who is closed without it takes it from nobody', () => {
  const memory = createResultMemory()
  const [one, other, third] = [memory.open(), memory.open(), memory.open()]
  one.keep(mib(5))
  other.close()
  expect(() => third.keep(mib(5))).toThrow(expect.objectContaining({ code: 'memory_taken' }))
  one.close()
  expect(() => memory.open().keep(mib(5))).not.toThrow()
})

test('a row counts for more than its text, and so do its values', () => {
  const share = createResultMemory().open()
  const rows = 400_000
  expect(() => {
    for (let row = 0; row < rows; row += 1) share.keep({ bytes: 20, values: 3 })
  }).toThrow(expect.objectContaining({ code: 'result_too_large' }))
})
