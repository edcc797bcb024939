import { Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { gatherWrites } from './gather-writes.ts'

/** A stream whose writes are seen as they go to the system: what of it is one call is one text. */
const watched = (highWaterMark = 1_000) => {
  const calls: string[] = []
  const stream = new Writable({
    highWaterMark,
    decodeStrings: false,
    write: (chunk, _, done) => {
      calls.push(String(chunk))
      setImmediate(() => done())
    },
    writev: (chunks, done) => {
      calls.push(chunks.map(({ chunk }) => String(chunk)).join(''))
      setImmediate(() => done())
    },
  })
  gatherWrites(stream)
  return { stream, calls }
}

test('what is written in one turn goes out in one call, in its order, and what comes later in another', async () => {
  const { stream, calls } = watched()
  stream.write('a')
  stream.write('b')
  await turn()
  stream.write('c')
  await new Promise<void>((resolve) => stream.end('d', () => resolve()))
  expect(calls).toEqual(['ab', 'cd'])
})

test('a writer that is told to wait is told when it may go on', async () => {
  const { stream, calls } = watched(4)
  const drained = new Promise<void>((resolve) => stream.once('drain', () => resolve()))
  expect(stream.write('abc')).toBe(true)
  expect(stream.write('de')).toBe(false)
  await drained
  expect(calls).toEqual(['abcde'])
})
