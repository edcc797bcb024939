import { expect, test } from 'vitest'
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
