import { randomUUID } from 'node:crypto'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { cancelJob } from '../../run/cancel-job.ts'
import { claimJobs } from '../claim-jobs.ts'
import { findJobs } from '../find-jobs.ts'
import type { HeldJob } from '../held-job.ts'
import type { NextStep } from '../../payload/place-result.ts'
import { writeUnit } from '../unit/write-unit.ts'
import { loadSteps } from '../../run/load-steps.ts'
import { acceptPage } from './accept-page.ts'
import { cancelRun } from '../../run/cancel-run.ts'
import { dropHiddenPages } from './drop-hidden-pages.ts'
import { dropItemKeys } from './drop-item-keys.ts'
import { hidePage, sealPages } from './hide-page.ts'
import { touchJob } from './touch-job.ts'
import { writePage } from './write-page.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A job on the belt that a worker has claimed, and writes of its pages as that worker makes them. */
const claimed = async () => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'pages', outputType: 'multiple' },
    { functionName: 'pages.next', outputType: null },
  )
  const run = await engine.begin(workflow, null)
  const [{ id } = { id: '' }] = await engine.jobs(run)
  const [step] = await loadSteps(engine.em(), workflow.id, 1)
  const next: NextStep = { id: workflow.stepIds[1] ?? '', functionName: 'pages.next' }
  const by = { worker: 'test', lane: engine.laneId, window: 3 }

  const find = async (): Promise<HeldJob> => {
    const found = (await findJobs(engine.em(), [id])).get(id)
    if (found === undefined || step === undefined) throw new Error('there is no job')
    return { ...found, functionName: 'pages', step }
  }
  const take = async (job: HeldJob): Promise<HeldJob> => {
    const claim = randomUUID()
    const [taken] = (await claimJobs(engine.em(), [{ job, next: claim }], 'test')).values()
    return { ...job, ...taken, claim }
  }
  const hold = async () => take(await find())
  const write = async (job: HeldJob, items: unknown[], cursor: unknown) =>
    (await engine.em().transactional((em) => writePage(em, { job, items, next }, cursor, by))).fate
  const writeKeyed = async (job: HeldJob, keys: string[], cursor: unknown) => {
    const {
      toSettle: _,
      created: __,
      ...written
    } = await engine.em().transactional((em) => writePage(em, { job, items: keys, next, keys }, cursor, by))
    return written
  }
  const hide = async (job: HeldJob, items: unknown[], firstItem: number) =>
    (await engine.em().transactional((em) => hidePage(em, { job, items, next }, firstItem))).fate
  const seal = (job: HeldJob) => engine.em().transactional((em) => sealPages(em, job))
  const accept = (job: HeldJob) => engine.em().transactional((em) => acceptPage(em, job, by))
  const end = async (job: HeldJob) => {
    const placed = { kind: 'items' as const, items: [], next }
    const ends = [{ job, ending: { kind: 'succeeded' as const, placed }, elapsedMs: 1 }]
    await engine.em().transactional((em) => writeUnit(em, { ends }, by))
    await engine.query(
      `update workflow_job set status = 'succeeded', finished_at = now(), attempt = 1
                        where run_id = $1 and finished_at is null`,
      [run],
    )
    await engine.query(`delete from workflow_waiting where run_id = $1`, [run])
    await engine.query(
      `update workflow_run_step set succeeded = succeeded + belt + staged, belt = 0, staged = 0
                        where run_id = $1`,
      [run],
    )
  }
  const children = async () => (await engine.jobs(run)).filter(({ parentId }) => parentId === id)
  return { run, next, by, find, take, hold, write, writeKeyed, hide, seal, accept, end, children }
}

test('a page is there once, however often it is written, and the window holds for its children', async () => {
  const { hold, write, children, end } = await claimed()
  const job = await hold()
  expect(await write(job, ['a', 'b'], 1)).toBe('written')
  expect(await write(job, ['a', 'b'], 1)).toBe('written')
  const after = { ...job, emitted: 2 }
  expect(await write(after, ['c', 'd'], 2)).toBe('written')
  expect((await children()).map(({ payload, itemIndex, status }) => [payload, itemIndex, status])).toEqual([
    ['a', 0, 'queued'],
    ['b', 1, 'queued'],
    ['c', 2, 'queued'],
    ['d', 3, 'staged'],
  ])
  expect(await engine.untrueCounters()).toEqual([])
  expect(await engine.unconserved()).toEqual([])
  await end({ ...job, emitted: 4 })
})

test('who has lost the claim of a job writes no page of it, hidden or not, and cannot say that all are there', async () => {
  const { hold, write, hide, seal, children, end } = await claimed()
  const loser = await hold()
  const heir = await hold()
  expect(await write(loser, ['a'], 1)).toBe('lost')
  expect(await hide(loser, ['a'], 0)).toBe('lost')
  expect(await seal(loser)).toBe('lost')
  expect(await children()).toEqual([])
  // Not even when the heir has written as many items as the loser would have.
  expect(await write(heir, ['b'], 1)).toBe('written')
  expect(await write(loser, ['a'], 1)).toBe('lost')
  expect((await children()).map(({ payload }) => payload)).toEqual(['b'])
  await end({ ...heir, emitted: 1 })
})

test('who knows a job of an older generation writes no page of it, though under its claim', async () => {
  const { hold, write, hide, seal, accept, children, end } = await claimed()
  const job = await hold()
  const older = { ...job, seq: job.seq - 1 }
  expect(await write(older, ['a'], 1)).toBe('lost')
  expect(await hide(older, ['a'], 0)).toBe('lost')
  expect(await engine.em().transactional((em) => touchJob(em, older))).toBe(false)
  expect(await children()).toEqual([])
  expect(await hide(job, ['b'], 0)).toBe('written')
  expect(await seal(older)).toBe('lost')
  expect(await seal(job)).toBe('written')
  expect(await accept({ ...older, accepted: job.claim })).toEqual({ kind: 'lost' })
  expect(await accept({ ...job, accepted: job.claim })).toMatchObject({ kind: 'accepted', children: 1 })
  await end({ ...job, emitted: 1 })
})

test('who takes a job while a page of it is being committed goes on behind that page', async () => {
  const { next, by, find, take, hold, write, children, end } = await claimed()
  const loser = await hold()
  expect(await write(loser, ['a'], 1)).toBe('written')
  const found = await find()
  const committing = engine.em()
  await committing.begin()
  await writePage(committing, { job: { ...loser, emitted: 1 }, items: ['b', 'c'], next }, 3, by)
  const taking = take(found)
  await waitFor(async () => (await waiting()) === 1)
  await committing.commit()
  const heir = await taking
  expect([found, heir]).toMatchObject([
    { emitted: 1, cursor: 1 },
    { emitted: 3, cursor: 3 },
  ])
  expect(await write(heir, ['d'], 4)).toBe('written')
  expect((await children()).map(({ payload, itemIndex }) => [payload, itemIndex])).toEqual([
    ['a', 0],
    ['b', 1],
    ['c', 2],
    ['d', 3],
  ])
  await end({ ...heir, emitted: 4 })
})

test('a page that would go behind others than the job has is not taken for one that is written', async () => {
  const { hold, write, writeKeyed, children, end } = await claimed()
  const job = await hold()
  expect(await write(job, ['a', 'b'], 2)).toBe('written')
  const unknown = 'has 2 children, and whoever writes a page of it knows of 0'
  await expect(write(job, ['a', 'b', 'c'], 3)).rejects.toThrow(unknown)
  await expect(write(job, ['a', 'b'], 3)).rejects.toThrow(unknown)
  await expect(write(job, ['a'], 2)).rejects.toThrow(unknown)
  await expect(writeKeyed(job, ['a', 'b', 'c'], 3)).rejects.toThrow(unknown)
  expect(await children()).toHaveLength(2)
  await end({ ...job, emitted: 2 })
})

test.each([undefined, null])('a page that goes on with the cursor %s is not written', async (cursor) => {
  const { hold, write, children, end } = await claimed()
  const job = await hold()
  await write(job, ['a'], 1)
  await expect(write({ ...job, emitted: 1 }, ['b'], cursor)).rejects.toThrow('came without its cursor')
  expect(await children()).toHaveLength(1)
  await end({ ...job, emitted: 1 })
})

test('a job of which pages went on with a cursor cannot have hidden ones accepted beside them', async () => {
  const { hold, write, hide, seal, end } = await claimed()
  const job = await hold()
  await write(job, ['a'], 1)
  await hide(job, ['a', 'b'], 0)
  await expect(seal(job)).rejects.toMatchObject({ code: 'output_rejected' })
  const heir = await hold()
  expect(heir).toMatchObject({ emitted: 1, accepted: null })
  expect(await dropHiddenPages(engine.em())).toBe(1)
  await end(heir)
})

test('of items with one key the first goes on, whichever page and claim it came under', async () => {
  const { hold, writeKeyed, children, end } = await claimed()
  const job = await hold()
  expect(await writeKeyed(job, ['a', 'b', 'a'], 1)).toMatchObject({ fate: 'written', emitted: 2 })
  expect(await writeKeyed(job, ['a', 'b', 'a'], 1)).toMatchObject({ fate: 'written', emitted: 2 })
  expect(await writeKeyed({ ...job, emitted: 2 }, ['b', 'c'], 2)).toMatchObject({ fate: 'written', emitted: 3 })
  expect(await writeKeyed({ ...job, emitted: 3 }, ['c'], 3)).toMatchObject({ fate: 'written', emitted: 3 })
  const heir = await hold()
  expect(heir).toMatchObject({ emitted: 3, cursor: 3 })
  expect(await writeKeyed(job, ['z'], 4)).toEqual({ fate: 'lost' })
  expect(await writeKeyed(heir, ['a', 'd'], 4)).toMatchObject({ fate: 'written', emitted: 4 })
  expect((await children()).map(({ payload, itemIndex }) => [payload, itemIndex])).toEqual([
    ['a', 0],
    ['b', 1],
    ['c', 2],
    ['d', 3],
  ])
  expect(await engine.untrueCounters()).toEqual([])
  expect(await engine.unconserved()).toEqual([])
  expect(await dropItemKeys(engine.em()), 'while the job is on the belt').toBe(0)
  await end({ ...heir, emitted: 4 })
  expect(await dropItemKeys(engine.em())).toBe(4)
  expect(await engine.query('select from workflow_item_key')).toEqual([])
})

test('a page begins the attempts of its job anew only if it brings it further', async () => {
  const { hold, writeKeyed, end } = await claimed()
  const job = await hold()
  const tried = () => engine.query('update workflow_job set attempt = 1 where id = $1', [job.id])
  await tried()
  expect(await writeKeyed(job, ['a'], 1)).toEqual({ fate: 'written', emitted: 1, attempt: 0 })
  await tried()
  const after = { ...job, emitted: 1 }
  expect(await writeKeyed(after, [], 1), 'a sign of life').toEqual({ fate: 'written', emitted: 1, attempt: 1 })
  expect(await writeKeyed(after, ['a'], 1), 'a known item').toEqual({ fate: 'written', emitted: 1, attempt: 1 })
  expect(await writeKeyed(after, ['b'], 1), 'a new item').toEqual({ fate: 'written', emitted: 2, attempt: 0 })
  await tried()
  const last = { ...job, emitted: 2 }
  expect(await writeKeyed(last, [], 2), 'a cursor').toEqual({ fate: 'written', emitted: 2, attempt: 0 })
  await end(last)
})

test('the keys of a job that failed stay for when it is sent again, and go when its run is cancelled', async () => {
  const { run, hold, writeKeyed } = await claimed()
  const job = await hold()
  await writeKeyed(job, ['a'], 1)
  const failed = { kind: 'failed' as const, error: { code: 'no', message: 'no' } }
  const by = { worker: 'test', lane: engine.laneId }
  const ends = [{ job: { ...job, emitted: 1 }, ending: failed, elapsedMs: 1 }]
  await engine.em().transactional((em) => writeUnit(em, { ends }, by))
  expect(await dropItemKeys(engine.em())).toBe(0)
  await cancelRun(engine.em(), run)
  expect(await dropItemKeys(engine.em())).toBe(1)
})

test('hidden pages of a job that failed stay for when it is sent again, and go when its run is cancelled', async () => {
  const { run, hold, hide, seal, accept, children } = await claimed()
  const job = await hold()
  await hide(job, ['accepted'], 0)
  await hide(job, ['left'], 1)
  await seal(job)
  await accept({ ...job, accepted: job.claim })
  const failed = { kind: 'failed' as const, error: { code: 'no', message: 'no' } }
  const ends = [{ job: { ...job, emitted: 1 }, ending: failed, elapsedMs: 1 }]
  await engine.em().transactional((em) => writeUnit(em, { ends }, { worker: 'test', lane: engine.laneId }))
  expect(await dropHiddenPages(engine.em())).toBe(0)
  await cancelRun(engine.em(), run)
  expect(await dropHiddenPages(engine.em())).toBe(1)
  expect((await children()).map(({ payload }) => payload)).toEqual(['accepted'])
})

test('a hidden page is there once, and is accepted once, by whoever holds the job then', async () => {
  const { hold, hide, seal, accept, children, end } = await claimed()
  const first = await hold()
  expect(await hide(first, ['a', 'b'], 0)).toBe('written')
  expect(await hide(first, ['a', 'b'], 0)).toBe('written')
  expect(await hide(first, ['c'], 2)).toBe('written')
  expect(await seal(first)).toBe('written')
  const second = await hold()
  expect(second.accepted).toBe(first.claim)
  expect(await accept({ ...first, accepted: first.claim })).toEqual({ kind: 'lost' })
  expect(await accept(second)).toMatchObject({ kind: 'accepted', children: 2 })
  expect(await engine.unconserved()).toEqual([])
  expect(await accept({ ...second, emitted: 2 })).toMatchObject({ kind: 'accepted', children: 1 })
  expect(await accept({ ...second, emitted: 3 })).toEqual({ kind: 'none left' })
  expect((await children()).map(({ payload, itemIndex, status }) => [payload, itemIndex, status])).toEqual([
    ['a', 0, 'staged'],
    ['b', 1, 'staged'],
    ['c', 2, 'staged'],
  ])
  expect(await engine.untrueCounters()).toEqual([])
  await end({ ...second, emitted: 3 })
})

test('whoever accepts a page anew, as its session was lost while it waited there, goes on behind what that accepts after all', async () => {
  const { hold, hide, seal, accept, by, children, end } = await claimed()
  const job = await hold()
  await hide(job, ['a', 'b'], 0)
  await hide(job, ['c'], 2)
  await seal(job)
  const sealed = { ...job, accepted: job.claim }
  const lost = engine.em()
  await lost.begin()
  expect(await acceptPage(lost, sealed, by)).toMatchObject({ kind: 'accepted', children: 2 })
  const again = accept(sealed)
  await waitFor(async () => (await waiting()) > 0)
  await lost.commit()
  expect(await again).toMatchObject({ kind: 'accepted', children: 1 })
  expect(await accept(sealed)).toEqual({ kind: 'none left' })
  expect((await children()).map(({ payload }) => payload)).toEqual(['a', 'b', 'c'])
  expect(await engine.untrueCounters()).toEqual([])
  expect(await engine.unconserved()).toEqual([])
  await end({ ...sealed, emitted: 3 })
})

test('hidden pages are removed when their claim was given up, and only then', async () => {
  const { hold, hide, seal, accept, children, end } = await claimed()
  const dead = await hold()
  await hide(dead, ['dead 1', 'dead 2'], 0)
  await hide(dead, ['dead 3'], 2)
  expect(await dropHiddenPages(engine.em())).toBe(0)
  const alive = await hold()
  await hide(alive, ['alive'], 0)
  expect(await dropHiddenPages(engine.em())).toBe(2)
  expect((await children()).map(({ payload }) => payload)).toEqual(['alive'])
  await seal(alive)
  const heir = await hold()
  expect(await dropHiddenPages(engine.em())).toBe(0)
  await accept(heir)
  expect((await children()).map(({ payload, status }) => [payload, status])).toEqual([['alive', 'staged']])
  await end({ ...heir, emitted: 1 })
})

test('of a job that is cancelled among its pages the accepted ones stay, and the others are removed', async () => {
  const { run, hold, hide, seal, accept, children } = await claimed()
  const job = await hold()
  await hide(job, ['accepted'], 0)
  await hide(job, ['left'], 1)
  await seal(job)
  await accept({ ...job, accepted: job.claim })
  expect(await cancelJob(engine.em(), job.id)).toBe('cancelled')
  expect(await dropHiddenPages(engine.em())).toBe(1)
  expect((await children()).map(({ payload }) => payload)).toEqual(['accepted'])
  await cancelRun(engine.em(), run)
})

test('while sweeps look for garbage the pages of an attempt that lives stay, and so do those that are being accepted', async () => {
  const { hold, hide, seal, accept, children, end } = await claimed()
  const dead = await hold()
  for (let item = 0; item < 20; item += 1) await hide(dead, [`dead ${item}`], item)
  const over = new AbortController()
  let dropped = 0
  const sweep = async () => {
    while (!over.signal.aborted) {
      const pages = await dropHiddenPages(engine.em())
      dropped += pages
    }
  }
  const sweeps = [sweep(), sweep(), sweep()]
  const alive = await hold()
  for (let item = 0; item < 30; item += 1) expect(await hide(alive, [item], item)).toBe('written')
  expect(await seal(alive)).toBe('written')
  const heir = await hold()
  for (let item = 0; item < 30; item += 1) {
    expect(await accept({ ...heir, emitted: item })).toMatchObject({ kind: 'accepted', children: 1 })
  }
  over.abort()
  await Promise.all(sweeps)
  expect(dropped).toBe(20)
  expect((await children()).map(({ payload }) => payload)).toEqual(Array.from({ length: 30 }, (_, item) => item))
  expect(await engine.unconserved()).toEqual([])
  await end({ ...heir, emitted: 30 })
})

const waiting = async (): Promise<number> =>
  (await engine.query(`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`))
    .length
