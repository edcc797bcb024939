import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import { givePages } from './give-pages.ts'
import type { Given } from './messages.ts'

const next = { id: 'next', functionName: 'Next' }

/**
 * A job at its third attempt, which has given five items, and what was told of its pages; each is taken at once as
 * `counted`.
 */
const setUp = (isResumable: boolean, counted = { emitted: 6, attempt: 0 }) => {
  const told: Given[] = []
  const first = { ...aJob, attempt: 2, emitted: 5, payload: null, cursor: null, accepted: null, step: aStep }
  const pages = givePages({
    first,
    next,
    isResumable,
    say: (given) => {
      told.push(given)
      // Of two items the worker knew one already.
      setImmediate(() => pages.taken(counted))
    },
  })
  return { pages, told }
}

test('a page with a cursor counts when it is taken, and its job has all its attempts before it again', async () => {
  const { pages, told } = setUp(true)
  const writing = pages.write({ items: ['a', 'b'], cursor: 7 })
  expect(pages.job()).toMatchObject({ emitted: 5, attempt: 2 })
  await writing
  expect(pages.job()).toMatchObject({ emitted: 6, cursor: 7, attempt: 0 })
  expect(told).toEqual([{ items: ['a', 'b'], cursor: 7 }])
})

test('one that brings the job no further leaves its attempts as they are', async () => {
  const { pages } = setUp(true, { emitted: 5, attempt: 2 })
  await pages.write({ items: [], cursor: 7 })
  expect(pages.job()).toMatchObject({ emitted: 5, cursor: 7, attempt: 2 })
})

test('a page without one counts for nothing until all are there: the attempt stays the one that it is', async () => {
  const { pages, told } = setUp(false)
  await pages.write({ items: ['a', 'b'], cursor: undefined })
  expect(pages.job()).toMatchObject({ emitted: 5, attempt: 2 })
  expect(pages.isSealed()).toBe(false)
  await pages.seal()
  expect(pages.isSealed()).toBe(true)
  expect(pages.job()).toMatchObject({ emitted: 5, attempt: 2 })
  expect(told).toEqual([{ items: ['a', 'b'], cursor: null }, null])
})

test('a page that is refused fails with what the worker says, for good only if it is to blame', async () => {
  const { pages } = setUp(true)
  for (const [code, final] of [
    ['output_rejected', true],
    ['attempt_failed', false],
  ] as const) {
    const writing = pages.write({ items: ['a'], cursor: 1 })
    pages.taken({ refusal: { code, message: 'no' } })
    await expect(writing).rejects.toMatchObject({ code, message: 'no', final })
  }
  expect(pages.job()).toMatchObject({ emitted: 5 })
})
