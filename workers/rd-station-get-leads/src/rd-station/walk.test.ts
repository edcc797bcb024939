import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type AuthorizedCall } from './authorized-call.ts'
import { type Contact, type ContactsQuery, readContacts } from './contacts.ts'
import { type ContactsCursor, readAgain } from './walk.ts'

const pageSize = 4

/** A change of the segmentation, at places that are parts of it. */
type Change = { kind: 'add' | 'remove'; at: number } | { kind: 'move'; from: number; to: number }

const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const change: fc.Arbitrary<Change | null> = fc.oneof(
  fc.constant(null),
  fc.record({ kind: fc.constant('add' as const), at: share }),
  fc.record({ kind: fc.constant('remove' as const), at: share }),
  fc.record({ kind: fc.constant('move' as const), from: share, to: share }),
)

/** A segmentation that changes once behind each answer, as long as there are changes; counts what it was asked. */
const segmentationOf = (size: number, changes: readonly (Change | null)[], { tellsTotal = true } = {}) => {
  const contacts = Array.from({ length: size }, (_, index) => `c${index}`)
  const always = new Set(contacts)
  let asked = 0
  const make = (next: Change | null | undefined): void => {
    if (next === null || next === undefined) return
    const placeOf = (part: number, of: number) => Math.floor(part * of)
    if (next.kind === 'add') contacts.splice(placeOf(next.at, contacts.length + 1), 0, `new${asked}`)
    if (contacts.length === 0) return
    if (next.kind === 'remove') always.delete(contacts.splice(placeOf(next.at, contacts.length), 1)[0] ?? '')
    if (next.kind !== 'move') return
    const moved = contacts.splice(placeOf(next.from, contacts.length), 1)
    contacts.splice(placeOf(next.to, contacts.length + 1), 0, ...moved)
  }
  const call: AuthorizedCall = async ({ path }) => {
    const page = Number(/page=(\d+)/.exec(path)?.[1])
    const from = (page - 1) * pageSize
    const answer = contacts.slice(from, from + pageSize).map((uuid) => ({ uuid }))
    const total = tellsTotal ? String(contacts.length) : undefined
    make(changes[asked])
    asked += 1
    return { kind: 'ok', headers: () => total, json: { contacts: answer } }
  }
  return { call, always, asked: () => asked }
}

const everybody = { segmentationId: 1, pageSize, signal: new AbortController().signal }

type Reading = {
  /** The job goes on behind the last page in a new attempt after so many. */
  diesAfter?: number
  /** Where it begins, and whom the job has had by then. */
  from?: { after: ContactsCursor; had: readonly string[] }
  isWanted?: ContactsQuery['isWanted']
}

/** Reads all as a job does whose items have keys. */
const read = async (
  call: AuthorizedCall,
  { diesAfter = Number.POSITIVE_INFINITY, from, isWanted }: Reading = {},
): Promise<Set<string>> => {
  const different = new Set(from?.had)
  let after = from?.after ?? null
  for (let attempt = 0; attempt < 100; attempt += 1) {
    let pages = 0
    const query: ContactsQuery = { ...everybody, after, isWanted, written: async () => different.size }
    for await (const page of readContacts(call, query)) {
      for (const { uuid } of page.contacts) different.add(uuid)
      after = page.cursor
      pages += 1
      if (pages === diesAfter) break
    }
    if (pages < diesAfter) return different
  }
  throw new Error('the read does not end')
}

const isOdd = ({ uuid }: Contact): boolean => Number(uuid.at(-1)) % 2 === 1
const isLow = ({ uuid }: Contact): boolean => /^c\d$/.test(uuid)

test(
  'whoever was there all the time is read, whatever comes, leaves and changes places while pages are read once',
  { timeout: 60_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 30 }),
        fc.array(change, { maxLength: 9 }),
        fc.constantFrom(1, 2, 3, Number.POSITIVE_INFINITY),
        fc.constantFrom(undefined, isOdd, isLow),
        async (size, changes, diesAfter, isWanted) => {
          // No more changes than the first pass has pages; and since an attempt that dies has had an answer that nobody saw,
          // one of two answers has none behind it then.
          const pages = Math.floor(size / pageSize)
          const dies = Number.isFinite(diesAfter)
          const made = dies
            ? changes.slice(0, Math.floor(pages / 2)).flatMap((each) => [each, null])
            : changes.slice(0, pages)
          const segmentation = segmentationOf(size, made)
          const different = await read(segmentation.call, { diesAfter, isWanted })
          const wanted = (uuid: string) => isWanted === undefined || isWanted({ uuid })
          expect([...segmentation.always].filter((uuid) => wanted(uuid) && !different.has(uuid))).toEqual([])
          expect([...different].filter((uuid) => !wanted(uuid))).toEqual([])
        },
      ),
      { numRuns: 1_000 },
    )
  },
)

test('who is missed by two passes is looked for by the next one, as there are more than have been read', async () => {
  const move = (from: number, to: number) => ({ kind: 'move' as const, from: (from + 0.5) / 9, to: (to + 0.5) / 9 })
  const { call, always, asked } = segmentationOf(9, [move(7, 0), null, move(0, 7), move(7, 8), move(8, 0)])
  expect(await read(call)).toEqual(always)
  // Three pages, and again; of the third pass the first one.
  expect(asked()).toBe(7)
})

test('who has left is not looked for longer than a pass finds nobody new', async () => {
  const { call, asked } = segmentationOf(9, [null, { kind: 'remove', at: 0.9 }])
  expect((await read(call)).size).toBe(8)
  // Three pages, and once more: there are no more by then than have been read.
  expect(asked()).toBe(6)
})

test.each([
  [undefined, 18],
  [isOdd, 9],
  [() => false, 0],
])('a segmentation that stands still is read once, whoever is passed over (%#)', async (isWanted, wanted) => {
  const { call, asked } = segmentationOf(18, [])
  expect((await read(call, { isWanted })).size).toBe(wanted)
  expect(asked()).toBe(5)
})

test('an attempt that goes on does not know who was passed over before, so it goes through the pages once more', async () => {
  const { call, asked } = segmentationOf(18, [])
  expect((await read(call, { isWanted: isOdd, diesAfter: 3 })).size).toBe(9)
  // Three and one ahead; the last two, and the five of the second pass, with none ahead.
  expect(asked()).toBe(4 + 2 + 5)
})

test('more contacts than are told apart in memory are gone through once more as well, where some are passed over', async () => {
  const { call, asked } = segmentationOf(20_002, [])
  expect((await read(call, { isWanted: isLow })).size).toBe(10)
  expect(asked()).toBe(2 * 5_001)
})

test('who jumps to the front is found, though those whom that pushes onto other pages are passed over', async () => {
  const { call, asked } = segmentationOf(38, [null, null, { kind: 'move', from: 0.9, to: 0 }])
  const isTheOne = ({ uuid }: Contact) => uuid === 'c34'
  expect(await read(call, { isWanted: isTheOne })).toEqual(new Set(['c34']))
  expect(asked()).toBe(11)
})

test('who jumps to the front is found there, and the pages behind are not read again', async () => {
  const { call, always, asked } = segmentationOf(38, [null, null, { kind: 'move', from: 0.9, to: 0 }])
  expect(await read(call)).toEqual(always)
  // Ten pages, and the first one again.
  expect(asked()).toBe(11)
})

test('who jumps to the front of a read that is sent again is found, though others that the job has had have left', async () => {
  const { call } = segmentationOf(8, [{ kind: 'move', from: 0.9, to: 0 }])
  const had = ['left', 'left too', ...Array.from({ length: 7 }, (_, index) => `c${index}`)]
  expect(await read(call, { from: { after: readAgain, had } })).toContain('c7')
})

test('who comes meanwhile in front is read as well', async () => {
  const { call, asked } = segmentationOf(38, [null, null, { kind: 'add', at: 0 }])
  expect((await read(call)).size).toBe(39)
  expect(asked()).toBe(11)
})

test('when somebody leaves, whom that pulled onto a page that was read already is found', async () => {
  const { call, always } = segmentationOf(38, [null, { kind: 'remove', at: 0 }])
  const different = await read(call)
  expect([...always].filter((uuid) => !different.has(uuid))).toEqual([])
})

test('without a total, who came twice tells as much of those who only changed places', async () => {
  const changes: Change[] = [
    { kind: 'move', from: 0, to: 0.9 },
    { kind: 'move', from: 0.9, to: 0 },
  ]
  const { call, always } = segmentationOf(38, [null, null, ...changes], { tellsTotal: false })
  expect(await read(call)).toEqual(always)
})

test('a segmentation that never comes to rest ends all the same', async () => {
  // Each pass finds those who came in front, and owes for those who left as well.
  const restless = Array.from({ length: 1_000 }, (_, index): Change =>
    index % 2 === 0 ? { kind: 'add', at: 0 } : { kind: 'remove', at: 0.99 },
  )
  const { call, asked } = segmentationOf(38, restless)
  await read(call)
  expect(asked()).toBeGreaterThan(30)
  expect(asked()).toBeLessThanOrEqual(44)
})

/** A segmentation that has so many contacts when a page is asked for. */
const growing = (sizeAt: (page: number) => number) => {
  const pageOf = 100
  let asked = 0
  const call: AuthorizedCall = async ({ path }) => {
    asked += 1
    const from = (Number(/page=(\d+)/.exec(path)?.[1]) - 1) * pageOf
    const size = sizeAt(from / pageOf + 1)
    const contacts = Array.from({ length: Math.min(pageOf, Math.max(0, size - from)) }, (_, at) => ({
      uuid: `c${from + at}`,
    }))
    return { kind: 'ok', headers: () => String(size), json: { contacts } }
  }
  const all = async () => {
    const different = new Set<string>()
    const query = { ...everybody, pageSize: pageOf, written: async () => different.size }
    for await (const page of readContacts(call, query)) for (const { uuid } of page.contacts) different.add(uuid)
    return different.size
  }
  return { all, asked: () => asked }
}

test('a total that grows with each page fails the read, when it is far more than it was', async () => {
  const { all, asked } = growing((page) => page * 100 + 1)
  await expect(all()).rejects.toMatchObject({
    code: 'endless',
    final: true,
    message: expect.stringMatching(/page=1011&page_size=100: the total grows .*, from 101 to 101,101 by now$/),
  })
  expect(asked()).toBe(1_011)
})

test('one that grows to many times what it was, and then no more, is read to its end', async () => {
  expect(await growing((page) => Math.min(page * 110, 90_000)).all()).toBe(90_000)
})
