import { expect, test } from 'vitest'
import { createResultMemory } from './result-memory.ts'

const mib = (count: number) => count * 1024 * 1024

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

test('of those that have little the ones that are too much together wait as well, until others are closed', () => {
  const memory = createResultMemory()
  memory.open().keep(mib(60))
  const some = Array.from({ length: 21 }, () => memory.open())
  for (const share of some) share.keep(mib(3))
  const [first] = some
  const late = memory.open()
  expect(() => late.keep(mib(3))).toThrow('waits for its turn')
  first?.close()
  expect(() => memory.open().keep(mib(2))).not.toThrow()
  expect(() => memory.open().makeRoom(mib(2))).toThrow('waits for its turn')
})

test('what was given before counts as well, and not towards what a statement may give', () => {
  const memory = createResultMemory()
  memory.open().keep(mib(60))
  const share = memory.open()
  share.makeRoom(mib(3))
  share.keep(mib(0.5))
  expect(() => share.keep(mib(1))).toThrow('waits for its turn')
})

test('a row counts for more than its values', () => {
  const share = createResultMemory().open()
  expect(() => {
    for (let row = 0; row < 500_000; row += 1) share.keep(20)
  }).toThrow(expect.objectContaining({ code: 'result_too_large' }))
})

const patient = new AbortController().signal

test('who waits for its turn has it behind those who came before, and then may have up to 64 MiB', async () => {
  const memory = createResultMemory()
  const large = memory.open()
  large.keep(mib(5))
  const had: number[] = []
  const turns = [1, 2, 3].map(async (number) => {
    const turn = await memory.turn(patient)
    had.push(number)
    return turn
  })
  large.close()
  const first = await turns[0]
  first?.open().keep(mib(60))
  expect(() => memory.open().keep(mib(5)), 'nobody goes before those who wait').toThrow('waits for its turn')
  first?.end()
  ;(await turns[1])?.end()
  ;(await turns[2])?.end()
  expect(had).toEqual([1, 2, 3])
  expect(() => memory.open().keep(mib(5))).not.toThrow()
})

test('a turn is what nobody needs to wait for where nobody has much', async () => {
  expect(await createResultMemory().turn(patient)).not.toBeNull()
})

test('who waits no longer keeps nobody behind it', async () => {
  const memory = createResultMemory()
  const large = memory.open()
  large.keep(mib(5))
  const over = new AbortController()
  const impatient = memory.turn(over.signal)
  const last = memory.turn(patient)
  over.abort()
  expect(await impatient).toBeNull()
  expect(await memory.turn(over.signal), 'whose time was up before').toBeNull()
  large.close()
  expect(await last).not.toBeNull()
})

test('no more than eight wait, as each keeps the place of a job', async () => {
  const memory = createResultMemory()
  memory.open().keep(mib(5))
  const over = new AbortController()
  const waiting = Array.from({ length: 8 }, () => memory.turn(over.signal))
  expect(await memory.turn(patient)).toBeNull()
  over.abort()
  expect(await Promise.all(waiting)).toEqual(Array.from({ length: 8 }, () => null))
})
