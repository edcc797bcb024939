import { INVALID_SPAN_CONTEXT } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { aJob, aStep } from '../../../test/a-job.ts'
import { WorkflowError } from '../../errors.ts'
import type { HeldJob } from '../../job/held-job.ts'
import type { PageOfJob } from '../../job/pages/page-of-job.ts'
import type { Hold } from '../hold/hold.ts'
import { pagesOf } from './held-pages.ts'
import type { PageWrites } from './page-writes.ts'

const next = { id: 'next', functionName: 'Next' }

type Write = { items: unknown[]; claim: string | null; emitted: number; cursor?: unknown; firstItem?: number }

/**
 * The pages of a job that is held, and what was written of them; `refuses` is thrown by a write of that item, or by
 * `claim` or `seal`.
 */
const setup = ({
  isResumable = true,
  itemKey = null,
  refuses = {},
  hiddenPages = [],
  continueMs = 60_000,
}: {
  isResumable?: boolean
  itemKey?: string | null
  refuses?: Record<string, unknown>
  hiddenPages?: number[]
  continueMs?: number
} = {}) => {
  let job: HeldJob = {
    ...aJob,
    payload: null,
    cursor: null,
    accepted: null,
    step: { ...aStep, outputType: 'multiple', next },
  }
  let token = 1
  let isTaken = false
  let isLost = false
  const writes: Write[] = []
  const keys: unknown[] = []
  const left = [...hiddenPages]

  const claim = async (): Promise<boolean> => {
    if (refuses['claim'] !== undefined) throw refuses['claim']
    if (isTaken) return false
    job = { ...job, claim: `claim ${token}` }
    return true
  }
  const hold: Hold = {
    job: () => job,
    take: claim,
    // To take it once more leaves it the claim that it has.
    renew: () => {
      token += 1
      return claim()
    },
    changed: (by) => {
      job = { ...job, ...by }
    },
    lose: () => {
      isLost = true
    },
    isOurs: async () => !isLost,
    during: (attempt) => attempt(new AbortController().signal),
  }
  const keep = async (page: PageOfJob, more: Pick<Write, 'cursor' | 'firstItem'>) => {
    const error = refuses[String(page.items[0])]
    if (error !== undefined) throw error
    writes.push({ items: page.items, claim: page.job.claim, emitted: page.job.emitted, ...more })
    return isTaken ? ('lost' as const) : ('written' as const)
  }
  const pageWrites: PageWrites = {
    write: async (page, cursor) => {
      const fate = await keep(page, { cursor })
      keys.push(page.keys)
      // Of the items of a page with keys one was known.
      const known = page.keys === null ? 0 : 1
      if (fate === 'lost') return { fate }
      // An empty one brings the job no further.
      const attempt = page.items.length === 0 ? page.job.attempt : 0
      return { fate, emitted: page.job.emitted + page.items.length - known, attempt }
    },
    hide: (page, firstItem) => keep(page, { firstItem }),
    seal: async () => {
      if (refuses['seal'] !== undefined) throw refuses['seal']
      return 'written'
    },
    accept: async () => {
      if (refuses['accept'] !== undefined) throw refuses['accept']
      const children = left.shift()
      return children === undefined ? { kind: 'none left' } : { kind: 'accepted', children, toSettle: [] }
    },
  }
  const pages = pagesOf({ isResumable, itemKey }, hold, { pages: pageWrites, continueMs }, INVALID_SPAN_CONTEXT)
  if (pages === undefined) throw new Error('the step has a job for each item')
  const takeOver = () => {
    isTaken = true
  }
  return { pages, writes, keys, job: () => job, isLost: () => isLost, takeOver }
}

test('the job is claimed before its first page, and each page goes on behind the one before', async () => {
  const { pages, writes, job } = setup()
  await Promise.all([pages.write({ items: [1, 2], cursor: 2 }), pages.write({ items: [3], cursor: 3 })])
  expect(writes).toEqual([
    { items: [1, 2], claim: 'claim 1', emitted: 0, cursor: 2 },
    { items: [3], claim: 'claim 1', emitted: 2, cursor: 3 },
  ])
  expect(job()).toMatchObject({ emitted: 3, attempt: 0 })
})

test('with keys the page tells them, and the job has as many children as were new', async () => {
  const { pages, keys, job } = setup({ itemKey: 'id' })
  await pages.write({ items: [{ id: 'a' }, { id: 7 }], cursor: 2 })
  expect(keys).toEqual([['a', '7']])
  expect(job()).toMatchObject({ emitted: 1, cursor: 2 })
})

test('without a cursor pages are hidden one behind the other, and count nowhere', async () => {
  const { pages, writes, job } = setup({ isResumable: false })
  await pages.write({ items: [1, 2], cursor: undefined })
  await pages.write({ items: [3], cursor: undefined })
  expect(writes.map(({ firstItem }) => firstItem)).toEqual([0, 2])
  expect(job().emitted).toBe(0)
  await pages.seal()
  expect([pages.isSealed(), job().accepted]).toEqual([true, 'claim 1'])
})

test('another attempt goes on behind a cursor, under the same claim', async () => {
  const { pages, writes } = setup()
  void pages.write({ items: [1, 2], cursor: 2 })
  expect(await pages.again()).toMatchObject({ emitted: 2, cursor: 2, claim: 'claim 1' })
  expect(writes).toHaveLength(1)
})

test('another attempt without a cursor begins from nothing, under a claim that what was hidden does not have', async () => {
  const { pages, writes } = setup({ isResumable: false })
  await pages.write({ items: [1, 2], cursor: undefined })
  expect(await pages.again()).toMatchObject({ emitted: 0, claim: 'claim 2' })
  await pages.write({ items: ['other'], cursor: undefined })
  expect(writes.at(-1)).toEqual({ items: ['other'], claim: 'claim 2', emitted: 0, firstItem: 0 })
})

test('there is no other attempt at a job whose items are all there', async () => {
  const { pages } = setup({ isResumable: false })
  await pages.write({ items: [1], cursor: undefined })
  await pages.seal()
  expect(await pages.again()).toBeNull()
})

test('pages are accepted one after the other, and in a new delivery when this one has lasted', async () => {
  const { pages, job } = setup({ isResumable: false, hiddenPages: [2, 1] })
  expect(await pages.accept(new AbortController().signal)).toMatchObject({ kind: 'succeeded' })
  expect(job().emitted).toBe(3)
  const short = setup({ isResumable: false, hiddenPages: [2, 1], continueMs: 0 })
  expect(await short.pages.accept(new AbortController().signal)).toMatchObject({ kind: 'continued', cursor: undefined })
  expect(short.job().emitted).toBe(2)
})

test('a job that somebody has taken over is given up, with the next page or attempt', async () => {
  for (const go of ['write', 'again'] as const) {
    const { pages, takeOver, isLost } = setup({ isResumable: false })
    await pages.write({ items: [1], cursor: undefined })
    takeOver()
    const lost = go === 'write' ? pages.write({ items: [2], cursor: undefined }) : pages.again()
    await expect(lost).rejects.toThrow('another worker has taken the job over')
    expect(isLost()).toBe(true)
  }
})

test('a job whose pages wait for locks for too long is held up, whichever write of them it was', async () => {
  const heldUp = new WorkflowError('held_up', 'somebody has it locked', { final: false })
  const cursor = setup({ refuses: { page: heldUp } })
  expect(cursor.pages.isHeldUp()).toBe(false)
  await expect(cursor.pages.write({ items: ['page'], cursor: 1 })).rejects.toBe(heldUp)
  expect(cursor.pages.isHeldUp()).toBe(true)
  expect(cursor.pages.throwFault).toThrow(heldUp)
  const first = setup({ refuses: { claim: heldUp } })
  await expect(first.pages.write({ items: ['page'], cursor: 1 })).rejects.toBe(heldUp)
  expect([first.pages.isHeldUp(), first.writes]).toEqual([true, []])
  const hidden = setup({ isResumable: false, refuses: { seal: heldUp } })
  await hidden.pages.write({ items: ['page'], cursor: undefined })
  await expect(hidden.pages.seal()).rejects.toBe(heldUp)
  expect([hidden.pages.isHeldUp(), hidden.pages.isSealed()]).toEqual([true, false])
  const sealed = setup({ isResumable: false, refuses: { accept: heldUp } })
  await sealed.pages.seal()
  expect(await sealed.pages.accept(new AbortController().signal)).toMatchObject({
    kind: 'requeued',
    attempt: 0,
    error: { code: 'snoozed' },
  })
})

test('only a fault of the house is one for the message to come again', async () => {
  const grant = new Error('permission denied for table workflow_job')
  const cycle = new WorkflowError('output_rejected', 'it is a cycle')
  const { pages } = setup({ refuses: { cycle, grant } })
  await expect(pages.write({ items: ['cycle'], cursor: 1 })).rejects.toMatchObject({ code: 'output_rejected' })
  expect(pages.throwFault).not.toThrow()
  await expect(pages.write({ items: ['grant'], cursor: 1 })).rejects.toThrow('permission denied')
  expect(pages.throwFault).toThrow('permission denied')
  await expect(pages.again()).rejects.toThrow('permission denied')
  const unclaimed = setup({ refuses: { claim: grant } })
  await expect(unclaimed.pages.write({ items: ['page'], cursor: 1 })).rejects.toThrow('permission denied')
  expect(unclaimed.pages.throwFault).toThrow('permission denied')
})
