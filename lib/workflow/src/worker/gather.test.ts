import { keepSpans } from '@esteira/test/traces'
import { trace } from '@opentelemetry/api'
import { expect, onTestFinished, test } from 'vitest'
import { gather } from './gather.ts'

test('items that come while a flush is under way go together in the next one', async () => {
  const groups: number[][] = []
  const gate = Promise.withResolvers<void>()
  const add = gather(10, async (items: number[]) => {
    groups.push(items)
    if (groups.length === 1) await gate.promise
    return items.map((item) => item * 2)
  })
  const first = add(1)
  await expect.poll(() => groups.length).toBe(1)
  const others = [add(2), add(3)]
  gate.resolve()
  expect(await Promise.all([first, ...others])).toEqual([2, 4, 6])
  expect(groups).toEqual([[1], [2, 3]])
})

test('a group is never larger than the most', async () => {
  const sizes: number[] = []
  const add = gather(3, async (items: number[]) => {
    sizes.push(items.length)
    return items
  })
  await Promise.all([1, 2, 3, 4, 5, 6, 7].map(add))
  expect(sizes).toEqual([3, 3, 1])
})

test('a flush that fails fails its own group, and the next one goes on', async () => {
  let calls = 0
  const add = gather(1, async (items: string[]) => {
    calls += 1
    if (calls === 1) throw new Error('refused')
    return items
  })
  const [first, second] = await Promise.allSettled([add('a'), add('b')])
  expect(first).toMatchObject({ status: 'rejected', reason: new Error('refused') })
  expect(second).toEqual({ status: 'fulfilled', value: 'b' })
})

test('a flush is in the trace of none of its items, and each item goes on in its own', async () => {
  onTestFinished(keepSpans().stop)
  const tracer = trace.getTracer('test')
  const seen: unknown[] = []
  const add = gather(10, async (items: number[]) => {
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
