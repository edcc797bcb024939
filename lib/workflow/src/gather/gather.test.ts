import { keepSpans } from '@esteira/test/traces'
import { trace } from '@opentelemetry/api'
import { expect, onTestFinished, test } from 'vitest'
import { gather, gatherApart, type GatherOptions } from './gather.ts'

/** A gather of texts whose flushes end when they are told to. */
const setup = (options: GatherOptions<string>) => {
  const groups: string[][] = []
  const ends: (() => void)[] = []
  const add = gather(options, async (items: string[]) => {
    const gate = Promise.withResolvers<void>()
    groups.push(items)
    ends.push(gate.resolve)
    await gate.promise
    return items.map((item) => item.toUpperCase())
  })
  return { add, groups, end: (index: number) => ends[index]?.() }
}

/** Long enough for what begins in the next turn, and shorter than a flush that is late. */
const aMoment = () => new Promise((resolve) => setTimeout(resolve, 5))

test('items that come while a flush is under way go together in the next one', async () => {
  const { add, groups, end } = setup({ most: 10 })
  const all = [add('a')]
  await expect.poll(() => groups).toEqual([['a']])
  all.push(add('b'), add('c'))
  end(0)
  await expect.poll(() => groups).toEqual([['a'], ['b', 'c']])
  end(1)
  expect(await Promise.all(all)).toEqual(['A', 'B', 'C'])
})

test('the next group is on its way before anybody is told of the last, and its answers are heard meanwhile', async () => {
  const happened: string[] = []
  const hundred = Array.from({ length: 100 }, (_, index) => index)
  const add = gather({ most: 100 }, async (items: number[]) => {
    happened.push('begun')
    await new Promise((resolve) => setImmediate(resolve))
    happened.push('answered')
    return items
  })
  const tellOf = async (item: number) => {
    await add(item)
    happened.push('told')
  }
  await Promise.all([...hundred, 100].map(tellOf))
  const [told, second] = [happened.indexOf('told'), happened.lastIndexOf('begun')]
  expect(second).toBeLessThan(told)
  expect(happened.slice(told, happened.lastIndexOf('answered')).length).toBeLessThan(100)
  expect(happened.filter((event) => event === 'told')).toHaveLength(101)
})

test('a group is never larger than the most', async () => {
  const sizes: number[] = []
  const add = gather({ most: 3 }, async (items: number[]) => {
    sizes.push(items.length)
    return items
  })
  await Promise.all([1, 2, 3, 4, 5, 6, 7].map(add))
  expect(sizes).toEqual([3, 3, 1])
})

test('a group never has more bytes than the most, unless one item alone has', async () => {
  const groups: number[][] = []
  const add = gather({ most: 10, mostBytes: 100, bytesOf: (bytes: number) => bytes }, async (items: number[]) => {
    groups.push(items)
    return items
  })
  await Promise.all([40, 60, 1, 250, 99, 1, 30].map(add))
  expect(groups).toEqual([[40, 60], [1], [250], [99, 1], [30]])
})

test('an item that nobody wants any more before its group begins is in none, and is told why at once', async () => {
  const [early, late] = [new AbortController(), new AbortController()]
  const signals = new Map([
    ['early', early.signal],
    ['late', late.signal],
  ])
  const signalOf = (item: string) => signals.get(item) ?? new AbortController().signal
  const { add, groups, end } = setup({ most: 10, signalOf })
  early.abort('too early')
  await expect(add('early')).rejects.toBe('too early')
  const under = add('under way')
  await expect.poll(() => groups).toEqual([['under way']])
  const waits = [add('late'), add('wanted')]
  late.abort('too late')
  await expect(waits[0]).rejects.toBe('too late')
  end(0)
  await expect.poll(() => groups).toEqual([['under way'], ['wanted']])
  end(1)
  expect(await Promise.all([under, waits[1]])).toEqual(['UNDER WAY', 'WANTED'])
})

test('a flush that fails fails its own group, and the next one goes on', async () => {
  let calls = 0
  const add = gather({ most: 1 }, async (items: string[]) => {
    calls += 1
    if (calls === 1) throw new Error('refused')
    return items
  })
  const [first, second] = await Promise.allSettled([add('a'), add('b')])
  expect(first).toMatchObject({ status: 'rejected', reason: new Error('refused') })
  expect(second).toEqual({ status: 'fulfilled', value: 'b' })
})

test('a full group is flushed beside others, as many as may be at once, and a small one waits for them', async () => {
  const { add, groups, end } = setup({ most: 2, atOnce: 2 })
  const all = ['a', 'b', 'c'].map(add)
  await aMoment()
  expect(groups).toEqual([['a', 'b']])
  all.push(add('d'))
  await aMoment()
  expect(groups).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ])
  all.push(add('e'), add('f'))
  await aMoment()
  expect(groups).toHaveLength(2)
  end(1)
  await expect.poll(() => groups).toHaveLength(3)
  end(0)
  end(2)
  expect(await Promise.all(all)).toEqual(['A', 'B', 'C', 'D', 'E', 'F'])
})

test('a flush that is late holds up no other', async () => {
  const { add, groups, end } = setup({ most: 10, atOnce: 2 })
  const late = add('late')
  await expect.poll(() => groups).toEqual([['late']])
  const others = [add('a'), add('b')]
  await expect.poll(() => groups).toEqual([['late'], ['a', 'b']])
  end(1)
  expect(await Promise.all(others)).toEqual(['A', 'B'])
  end(0)
  expect(await late).toBe('LATE')
})

test('an item waits while another of its key is being flushed, and only that one', async () => {
  const { add, groups, end } = setup({ most: 2, atOnce: 2, keyOf: (item) => item.slice(0, 1) })
  const all = ['a1', 'a2', 'a3', 'b1', 'b2'].map(add)
  await expect
    .poll(() => groups)
    .toEqual([
      ['a1', 'a2'],
      ['b1', 'b2'],
    ])
  end(1)
  await aMoment()
  expect(groups).toHaveLength(2)
  end(0)
  await expect.poll(() => groups).toHaveLength(3)
  expect(groups[2]).toEqual(['a3'])
  end(2)
  expect(await Promise.all(all)).toEqual(['A1', 'A2', 'A3', 'B1', 'B2'])
})

test('parts are gathered apart, so that one does not wait for another', async () => {
  const gate = Promise.withResolvers<void>()
  const groups: string[][] = []
  const add = gatherApart(
    (item: string) => item.slice(0, 1),
    { most: 10 },
    async (items) => {
      groups.push(items)
      if (items[0]?.startsWith('a')) await gate.promise
      return items
    },
  )
  const held = [add('a1'), add('a2')]
  expect(await Promise.all([add('b1'), add('b2')])).toEqual(['b1', 'b2'])
  expect(groups).toEqual([
    ['a1', 'a2'],
    ['b1', 'b2'],
  ])
  gate.resolve()
  expect(await Promise.all(held)).toEqual(['a1', 'a2'])
})

test('a flush is in the trace of none of its items, and each item goes on in its own', async () => {
  onTestFinished(keepSpans().stop)
  const tracer = trace.getTracer('test')
  const seen: unknown[] = []
  const add = gather({ most: 10 }, async (items: number[]) => {
    seen.push(trace.getActiveSpan())
    await Promise.resolve()
    seen.push(trace.getActiveSpan())
    return items
  })
  await Promise.all(
    [1, 2, 3].map((item) =>
      tracer.startActiveSpan(`item ${item}`, async (span) => {
        await add(item)
        expect(trace.getActiveSpan()).toBe(span)
      }),
    ),
  )
  expect(seen).toEqual([undefined, undefined])
})

test('bounds that follow the load hold for the next group, also while one is under way', async () => {
  let [most, atOnce] = [3, 1]
  const { add, groups, end } = setup({ most: () => most, atOnce: () => atOnce })
  const all = ['a', 'b', 'c', 'd', 'e'].map(add)
  await expect.poll(() => groups).toEqual([['a', 'b', 'c']])
  ;[most, atOnce] = [1, 2]
  await expect.poll(() => groups).toEqual([['a', 'b', 'c'], ['d']])
  end(0)
  await expect.poll(() => groups).toEqual([['a', 'b', 'c'], ['d'], ['e']])
  end(1)
  end(2)
  expect(await Promise.all(all)).toEqual(['A', 'B', 'C', 'D', 'E'])
})
