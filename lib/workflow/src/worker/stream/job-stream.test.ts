import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import type { HeldJob } from '../../job/held-job.ts'
import { openJobStream } from './job-stream.ts'
import type { BufferedPage } from './page-buffer.ts'
import { createPageMemory } from './page-memory.ts'
import type { Pages } from './pages.ts'

const next = { id: 'next', functionName: 'Next' }

/** A stream of pages of three items, and what it wrote; each write ends when the gate for it is opened. */
const setup = ({
  isResumable = true,
  itemKey = null as string | null,
  ageMs = 60_000,
  continueMs = 60_000,
  gated = false,
  memoryBytes = 1_000_000,
} = {}) => {
  const gates: (() => void)[] = []
  const written: BufferedPage[] = []
  let seals = 0
  let job: HeldJob = { ...aJob, payload: null, cursor: null, accepted: null, step: { ...aStep, next } }
  const pages: Pages = {
    job: () => job,
    next,
    write: async (page) => {
      if (gated) await new Promise<void>((resolve) => gates.push(resolve))
      written.push(page)
      job = { ...job, emitted: job.emitted + page.items.length, cursor: page.cursor ?? null }
    },
    seal: async () => {
      seals += 1
    },
    isSealed: () => seals > 0,
  }
  const stream = openJobStream({
    pages,
    isResumable,
    itemKey,
    limits: { mostItems: 3, mostBytes: 1_000, mostItemBytes: 500 },
    memory: createPageMemory(memoryBytes),
    ageMs,
    continueMs,
  })
  const sink = stream.openSink(() => {})
  return { stream, sink, written, gates, seals: () => seals }
}

test('items that end within the first page are left for the end of the job, and nothing is written', async () => {
  const { sink, written } = setup({ isResumable: false })
  expect(sink.take([1, 2], undefined)).toBeNull()
  expect(await sink.end()).toEqual([1, 2])
  expect(written).toEqual([])
})

test('each page is written behind the one before, with the cursor behind its last item', async () => {
  const { sink, written } = setup()
  for (let item = 0; item < 8; item += 2) await sink.take([item, item + 1], item + 2)
  expect(await sink.end()).toEqual([])
  expect(written).toEqual([
    { items: [0, 1, 2, 3], cursor: 4 },
    { items: [4, 5, 6, 7], cursor: 8 },
  ])
})

test('without a cursor all pages are written, the last one too, and then it is said that all are there', async () => {
  const { sink, written, seals, stream } = setup({ isResumable: false })
  for (let item = 0; item < 7; item += 1) await sink.take([item], undefined)
  expect(await sink.end()).toEqual([])
  expect(written.map(({ items }) => items)).toEqual([[0, 1, 2], [3, 4, 5], [6]])
  expect([seals(), stream.isSealed()]).toEqual([1, true])
})

test('while a page is written one more is gathered, and then whoever gives waits', async () => {
  const { sink, gates } = setup({ gated: true })
  await sink.take([1, 2, 3], 3)
  await waitFor(() => gates.length === 1)
  const second = sink.take([4, 5, 6], 6)
  let isThrough = false
  const through = (async () => {
    await second
    isThrough = true
  })()
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate)
  expect([isThrough, gates.length]).toEqual([false, 1])
  gates[0]?.()
  await through
})

test('the end waits for what memory has written in the meantime, which a job would end without', async () => {
  const { sink, gates, written } = setup({ gated: true, memoryBytes: 1 })
  void sink.take([1, 2, 3], 3)
  void sink.take([4], 4)
  let isOver = false
  const rest = sink.end().finally(() => {
    isOver = true
  })
  await waitFor(() => gates.length === 1)
  gates[0]?.()
  await waitFor(() => gates.length === 2)
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate)
  expect([isOver, written.length]).toEqual([false, 1])
  gates[1]?.()
  expect(await rest).toEqual([])
  expect(written.map(({ items }) => items)).toEqual([[1, 2, 3], [4]])
})

test('a page that is not full is written when it is old, if it has a cursor', async () => {
  const resumable = setup({ ageMs: 5 })
  await resumable.sink.take([1], 1)
  await waitFor(() => resumable.written.length === 1)
  const whole = setup({ ageMs: 5, isResumable: false })
  await whole.sink.take([1], undefined)
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(whole.written).toEqual([])
})

test('what came with a cursor is kept when the attempt ends otherwise, and what came without is not', async () => {
  const resumable = setup()
  await resumable.sink.take([1], 1)
  await resumable.stream.keep()
  expect(resumable.written).toEqual([{ items: [1], cursor: 1 }])
  expect(() => resumable.sink.take([2], 2)).toThrow('the attempt is over')
  const whole = setup({ isResumable: false })
  await whole.sink.take([1], undefined)
  await whole.stream.keep()
  expect(whole.written).toEqual([])
})

test('a job that lasts goes on in a new delivery, with what was not written yet and the cursor behind it', async () => {
  const { sink, stream, written } = setup({ continueMs: 0 })
  await sink.take([1, 2], 2)
  expect(stream.continues.aborted).toBe(true)
  expect(await stream.continuation()).toEqual({
    kind: 'continued',
    placed: { kind: 'items', items: [1, 2], next },
    cursor: 2,
  })
  expect(written).toEqual([])
  const whole = setup({ continueMs: 0, isResumable: false })
  await whole.sink.take([1], undefined)
  expect(whole.stream.continues.aborted).toBe(false)
})

test('an item that is too large is refused by its number among all, and nothing of its page is kept', async () => {
  const { sink, stream, written } = setup()
  await sink.take([1, 2, 3], 3)
  await sink.take([4], 4)
  expect(() => sink.take([5, 'x'.repeat(600)], 6)).toThrow('step "work": item 6 has 602 bytes as JSON')
  await stream.keep()
  expect(written).toEqual([
    { items: [1, 2, 3], cursor: 3 },
    { items: [4], cursor: 4 },
  ])
})

test('a function that goes on behind a page that was refused has none of it', async () => {
  const { sink, written } = setup()
  expect(() => sink.take([1, 2, 3n], 3)).toThrow('BigInt')
  await sink.take([1, 2, 3], 3)
  await sink.end()
  expect(written).toEqual([{ items: [1, 2, 3], cursor: 3 }])
})

const named = (...ids: number[]) => ids.map((id) => ({ id }))

test('of items with one key within the first page one is left for the end of the job, and nothing is written', async () => {
  const { sink, written } = setup({ itemKey: 'id' })
  await sink.take(named(1), 1)
  await sink.take(named(1), 2)
  expect(await sink.written()).toBe(1)
  expect(await sink.end()).toEqual(named(1))
  expect(written).toEqual([])
})

test('behind the first page all items with keys are pages, the last too, as pages alone are compared', async () => {
  const { sink, written } = setup({ itemKey: 'id' })
  await sink.take(named(1, 2, 3), 1)
  await sink.take(named(3), 2)
  expect(await sink.end()).toEqual([])
  expect(written).toEqual([
    { items: named(1, 2, 3), cursor: 1 },
    { items: named(3), cursor: 2 },
  ])
})

test('a job with keys that goes on in a new delivery has its last items in a page', async () => {
  const { sink, stream, written } = setup({ itemKey: 'id', continueMs: 60_000 })
  await sink.take(named(1, 2, 3), 1)
  await sink.take(named(4), 2)
  expect(await stream.continuation()).toMatchObject({ kind: 'continued', placed: { items: [] } })
  expect(written.at(-1)).toEqual({ items: named(4), cursor: 2 })
})

test('one that goes on with its first page has that written, as what comes after is compared with pages', async () => {
  const { sink, stream, written } = setup({ itemKey: 'id', continueMs: 0 })
  await sink.take(named(1, 2, 2), 1)
  expect(await stream.continuation()).toMatchObject({ kind: 'continued', placed: { items: [] } })
  expect(written).toEqual([{ items: named(1, 2, 2), cursor: 1 }])
})

test('how many items are written is told when all that were given are', async () => {
  const { sink, written } = setup()
  await sink.take([1, 2, 3, 4], 4)
  await sink.take([5], 5)
  expect(await sink.written()).toBe(5)
  expect(written.flatMap(({ items }) => items)).toEqual([1, 2, 3, 4, 5])
})

test('behind the end of the attempt nothing more is written for whoever asks how many there are', async () => {
  const { sink, stream, written } = setup()
  await sink.take([1], 1)
  await stream.keep()
  await expect(sink.written()).rejects.toThrow('the attempt is over')
  const whole = setup({ isResumable: false })
  await whole.sink.take([1], undefined)
  await whole.stream.keep()
  await expect(whole.sink.written()).rejects.toThrow('the attempt is over')
  expect([...written, ...whole.written]).toEqual([{ items: [1], cursor: 1 }])
})

test('whoever gives pages without waiting is refused those that would be too many', async () => {
  const { sink, written, gates } = setup({ gated: true })
  const waits: Promise<void>[] = []
  const give = (count: number) => {
    for (let page = 0; page < count; page += 1) waits.push(sink.take([1, 2, 3], page + 1) ?? Promise.resolve())
  }
  expect(() => give(1_000)).toThrow('64 pages wait to be written')
  expect(waits).toHaveLength(64)
  for (let page = 0; page < 64; page += 1) {
    await waitFor(() => gates.length > page)
    gates[page]?.()
  }
  await Promise.all(waits)
  await waitFor(() => written.length === 64)
  // It is refused them only for as long as there is no room.
  expect(sink.take([1], 65)).toBeNull()
})

test('an item without its key fails the job', async () => {
  const { sink } = setup({ itemKey: 'id' })
  await sink.take([{ id: 1 }, { name: 'no id' }], 1)
  await expect(sink.end()).rejects.toMatchObject({
    code: 'output_invalid',
    message: 'an item has no text or number as "id", which tells it from others',
  })
})
