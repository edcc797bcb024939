import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { bytesInMemory } from './bytes-in-memory.ts'

setFlagsFromString('--expose-gc')
const collect = z.function({ input: [], output: z.void() }).implement(runInNewContext('gc'))

const million = 1_000_000
const copies = 2

/** Payloads of a million bytes and more, by what they are made of. */
const payloads: readonly [string, unknown][] = [
  ['Latin text', 'a'.repeat(million)],
  ['Latin text with one word in Chinese', `${'a'.repeat(million)}中文`],
  ['Cyrillic text', 'я'.repeat(million / 2)],
  ['Chinese text', '中'.repeat(million / 3)],
  ['many small texts with one word in Chinese each', Array.from({ length: million / 20 }, () => 'a bit of 中文')],
  ['many empty lists', Array.from({ length: million / 3 }, () => [])],
  ['many small objects', Array.from({ length: million / 10 }, (_, n) => ({ n }))],
]

test.each(payloads)('no more is in memory than is counted: %s', (_, payload) => {
  const json = JSON.stringify(payload)
  const bytes = Buffer.from(json)
  collect()
  const before = process.memoryUsage().heapUsed
  const held = Array.from({ length: copies }, (): unknown => JSON.parse(bytes.toString()))
  collect()
  const each = (process.memoryUsage().heapUsed - before) / held.length
  // Some kilobytes are of whatever else was made meanwhile.
  expect(each).toBeLessThan(bytesInMemory(json, bytes.length) + 50_000)
})
