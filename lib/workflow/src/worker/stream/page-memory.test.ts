import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import { openJobStream } from './job-stream.ts'
import { createPageMemory } from './page-memory.ts'
import type { Pages } from './pages.ts'

const next = { id: 'next', functionName: 'Next' }

const itemBytes = 1_000
const item = 'x'.repeat(itemBytes)
/** What an item counts beside its text, and the quotes of that. */
const countedBytes = itemBytes + 2 + 128

/** Streams that share memory, whose pages are only written when the gates are opened. */
const setup = ({ streams, mostBytes, isResumable }: { streams: number; mostBytes: number; isResumable: boolean }) => {
  const memory = createPageMemory(mostBytes)
  const gates: (() => void)[] = []
  let isOpen = false
  let inMemory = 0
  let mostInMemory = 0
  const pageSizes: number[] = []

  const pages: Pages = {
    job: () => ({ ...aJob, payload: null, cursor: null, accepted: null, step: { ...aStep, next } }),
    next,
    write: async ({ items }) => {
      pageSizes.push(items.length)
      if (!isOpen) await new Promise<void>((resolve) => gates.push(resolve))
      inMemory -= items.length * countedBytes
    },
    seal: async () => {},
    isSealed: () => false,
  }
  const opened = Array.from({ length: streams }, () =>
    openJobStream({
      pages,
      isResumable,
      itemKey: null,
      limits: { mostItems: 2_000, mostBytes: 1024 * 1024, mostItemBytes: itemBytes * 2 },
      memory,
      ageMs: 600_000,
      continueMs: 600_000,
    }),
  )
  /** Gives items of a stream, each when the one before has found room; gives how many are left for the end. */
  const give = async (stream: (typeof opened)[number], items: number): Promise<number> => {
    const sink = stream.openSink(() => {})
    for (let index = 0; index < items; index += 1) {
      inMemory += countedBytes
      mostInMemory = Math.max(mostInMemory, inMemory)
      await sink.take([item], isResumable ? index + 1 : undefined)
    }
    const { length } = await sink.end()
    inMemory -= length * countedBytes
    stream.leave()
    return length
  }
  return {
    opened,
    give,
    pageSizes,
    inMemory: () => inMemory,
    mostInMemory: () => mostInMemory,
    openGates: () => {
      isOpen = true
      for (const open of gates.splice(0)) open()
    },
  }
}

/** Lets everything go on that can. */
const settle = async () => {
  for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate)
}

test.each([true, false])(
  'however many streams there are, what they have in memory is bounded together (with a cursor: %s)',
  async (isResumable) => {
    const [streams, items, mostBytes] = [200, 100, 1_000_000]
    const { opened, give, pageSizes, inMemory, mostInMemory, openGates } = setup({ streams, mostBytes, isResumable })
    const given = Promise.all(opened.map((stream) => give(stream, items)))
    await settle()
    // Without a bound of its own each would have all of its items there: twenty times as much.
    expect(inMemory()).toBeGreaterThan(mostBytes / 2)
    expect(mostInMemory()).toBeLessThanOrEqual(mostBytes + streams * countedBytes)
    openGates()
    const left = (await given).reduce((sum, count) => sum + count, 0)
    expect(pageSizes.reduce((sum, size) => sum + size, left)).toBe(streams * items)
    expect(mostInMemory()).toBeLessThanOrEqual(mostBytes + streams * countedBytes)
  },
)

test('what slow functions have gathered makes room for others', async () => {
  const { opened, give, pageSizes, openGates } = setup({ streams: 11, mostBytes: 100_000, isResumable: false })
  openGates()
  const [busy, ...slow] = opened
  for (const stream of slow) {
    const sink = stream.openSink(() => {})
    for (let items = 0; items < 4; items += 1) await sink.take([item], undefined)
  }
  expect(pageSizes).toEqual([])
  await busy
    ?.openSink(() => {})
    .take(
      Array.from({ length: 60 }, () => item),
      undefined,
    )
  expect(pageSizes[0]).toBe(60)
  const other = slow[0]
  await other
    ?.openSink(() => {})
    .take(
      Array.from({ length: 30 }, () => item),
      undefined,
    )
  expect(pageSizes).toContain(34)
  expect(await Promise.all(slow.slice(1).map((stream) => give(stream, 0)))).toHaveLength(9)
})

test('alone a stream has whole pages', async () => {
  const { opened, give, pageSizes, openGates } = setup({ streams: 1, mostBytes: 32 * 2 ** 20, isResumable: false })
  openGates()
  const [stream] = opened
  if (stream !== undefined) await give(stream, 2_500)
  // A page is full with a megabyte of text.
  expect(pageSizes.slice(0, 2)).toEqual([1_047, 1_047])
})

test('a stream whose job waits for a lock gathers no more, and half of the memory is for others', async () => {
  const memory = createPageMemory(1_000_000)
  const [one, other] = ['one', 'other'].map((jobId) => memory.enter({ jobId, canFlush: () => false, flush: () => {} }))
  expect(memory.holdUp('none')).toBeNull()
  one?.gather(200_000)
  other?.gather(200_000)
  const goOn = memory.holdUp('one')
  expect([memory.isCrowded(), other?.room()]).toEqual([false, null])
  const room = one?.room()
  const otherGoesOn = memory.holdUp('other')
  expect(memory.isCrowded()).toBe(true)
  goOn?.()
  await room
  expect([memory.isCrowded(), one?.room()]).toEqual([false, null])
  otherGoesOn?.()
})
