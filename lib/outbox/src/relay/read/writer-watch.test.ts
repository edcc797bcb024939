import { expect, test } from 'vitest'
import type { ControlSession } from '../own/control-session.ts'
import { createWriterWatch, wholeXid } from './writer-watch.ts'

const half = 2 ** 31
const round = 2n ** 32n

test.each([
  [99, 100n, 99n],
  [101, 100n, 101n],
  [5, 3n * round + 7n, 3n * round + 5n],
  // The next xid has begun a new round, the one in progress is of the round before.
  [2 ** 32 - 1, 3n * round + 7n, 3n * round - 1n],
  // And the other way about: it began after the snapshot.
  [3, 3n * round - 2n, 3n * round + 3n],
  [half + 1, 10n * round, 10n * round - BigInt(half) + 1n],
])('the xid %i of a lock beside %i is %i', (xid, near, whole) => {
  expect(wholeXid(xid, near)).toBe(whole)
})

/** A watch whose statements take so long at Postgres, and how often it has asked. */
const watchThatTakes = (ms: number, random = 0.5) => {
  let nowMs = 0
  let asked = 0
  const query: ControlSession['query'] = async () => {
    asked += 1
    return { rows: [{ xmax: String(100 + asked), xids: [], ms }], rowCount: 1 }
  }
  const watch = createWriterWatch(
    { query },
    () => nowMs,
    () => random,
  )
  const askAt = async (atMs: number) => {
    nowMs = atMs
    return watch.horizon()
  }
  return { askAt, asked: () => asked }
}

test('what was told a moment ago is not asked again', async () => {
  const { askAt, asked } = watchThatTakes(1)
  expect([await askAt(0), await askAt(999), await askAt(1_000)]).toEqual([101n, 101n, 102n])
  expect(asked()).toBe(2)
})

test('where Postgres takes long for it, it is asked less often, and once a minute at least', async () => {
  const { askAt } = watchThatTakes(100)
  expect([await askAt(0), await askAt(1_999), await askAt(2_000)]).toEqual([101n, 101n, 102n])
  const slow = watchThatTakes(3_600_000)
  expect([await slow.askAt(0), await slow.askAt(59_999), await slow.askAt(60_000)]).toEqual([101n, 101n, 102n])
})

test('of relays that ask at the same moment not all do so again at the same', async () => {
  const [soon, late] = [watchThatTakes(1, 0), watchThatTakes(1, 0.99)]
  await Promise.all([soon.askAt(0), late.askAt(0)])
  expect(await Promise.all([soon.askAt(1_000), late.askAt(1_000)])).toEqual([102n, 101n])
})

test('of lanes that ask at the same moment one asks Postgres', async () => {
  const { askAt, asked } = watchThatTakes(1)
  await Promise.all([askAt(0), askAt(0)])
  expect(asked()).toBe(1)
})
