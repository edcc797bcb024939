import { expect, test } from 'vitest'
import * as z from 'zod'
import { newJob } from '../new-job.ts'
import { insertChildren } from './write-children.ts'

const mebi = 1024 * 1024

const childOf = (payload: unknown, itemIndex: number) => ({
  ...newJob({ runId: 'run', stepId: 'step', parentId: 'parent', itemIndex, payload }, 'Next'),
  functionName: 'Next',
  inherits: false,
  status: 'queued' as const,
})

/** The texts that go over with the statements which insert children with these payloads. */
const insert = async (payloads: readonly unknown[]): Promise<string[]> => {
  const texts: string[] = []
  const tx = {
    query: async (_: string, values: unknown[]) => {
      texts.push(z.tuple([z.string()]).parse(values)[0])
      return { rows: [] }
    },
  }
  await insertChildren(tx, payloads.map(childOf))
  return texts
}

const rows = z.array(z.object({ item_index: z.int(), payload: z.string() }))

test('children go over in one statement, and in several when they are large: each once, in their order', async () => {
  expect(await insert(['a', 'b', 'c'])).toHaveLength(1)
  const payloads = Array.from({ length: 10 }, (_, index) => `${index}`.repeat(mebi))
  const texts = await insert(payloads)
  expect(Math.max(...texts.map(({ length }) => length))).toBeLessThan(4.1 * mebi)
  const written = texts.flatMap((text) => rows.parse(JSON.parse(text)))
  expect(written.map(({ item_index }) => item_index)).toEqual(payloads.map((_, index) => index))
  expect(written.map(({ payload }) => payload)).toEqual(payloads)
})

test('a child that is larger than all that goes together goes alone', async () => {
  const texts = await insert(['before', 'x'.repeat(5 * mebi), 'behind'])
  expect(texts.map((text) => rows.parse(JSON.parse(text)).map(({ item_index }) => item_index))).toEqual([[0], [1], [2]])
})

test('no child is no statement', async () => {
  expect(await insert([])).toEqual([])
})
