import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import type { Engine } from '../../../test/engine.ts'
import { fanOut, gated } from '../../../test/gated.ts'
import { holdLocked, lockSqls } from '../../../test/hold-locked.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { beginCancel } from '../../run/cancel-run.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

test('a held run with more jobs than its function has places leaves half of those to others, and the rest of it does not begin', async () => {
  const name = 'held and large'
  const { functions, calls, go } = gated(name)
  const worker = await engine.startWorker(functions, { prefetch: 4 })
  const workflow = await fanOut(engine, name)
  const held = await engine.begin(workflow, Array<string>(30).fill('first'))
  await waitFor(() => calls.length === 4)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  go('first')
  expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
  // Two of them wait.
  await waitFor(() => worker.saw('job.written').filter((event) => 'error' in event).length >= 28)
  expect(calls.filter((payload) => payload === 'first')).toHaveLength(4)
  await release()
  expect(await engine.over(held, 60_000)).toBe('succeeded')
  expect(await engine.untrueCounters()).toEqual([])
  expect(worker.saw('delivery.handed-back')).toEqual([])
})

test('where a function has one place, a held run leaves that to others', async () => {
  const name = 'held and alone'
  const { functions, calls, go } = gated(name)
  const worker = await engine.startWorker(functions, { prefetch: 1 })
  const workflow = await fanOut(engine, name)
  const held = await engine.begin(workflow, ['first', 'first'])
  await waitFor(() => calls.length === 1)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  go('first')
  expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
  expect(calls).toEqual(['first', 'free'])
  await release()
  expect(await engine.over(held, 60_000)).toBe('succeeded')
  expect(worker.saw('delivery.handed-back')).toEqual([])
})

test('jobs of a held run that is being cancelled leave half of the places to others as well', async () => {
  const name = 'held and cancelling'
  const { functions, calls, go } = gated(name)
  await engine.startWorker(functions, { prefetch: 4 })
  const workflow = await fanOut(engine, name)
  const held = await engine.begin(workflow, Array<string>(30).fill('first'))
  await waitFor(() => calls.length === 4)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  await beginCancel(engine.em(), held)
  go('first')
  expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
  expect(await engine.statusOf(held)).toBe('cancelling')
  await release()
  expect(await engine.over(held, 60_000)).toBe('cancelled')
  expect(calls).toHaveLength(5)
  expect(await engine.untrueCounters()).toEqual([])
})

test('a job whose run is held locked for too long gets a new message, and no attempt is counted', async () => {
  const name = 'held for long'
  const { functions, calls, go } = gated(name)
  const worker = await engine.startWorker(functions, { lockPatienceMs: 1_000 })
  const workflow = await fanOut(engine, name)
  const held = await engine.begin(workflow, ['first'])
  await waitFor(() => calls.length === 1)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  go('first')
  await waitFor(() => worker.saw('job.written').length > 0)
  const [, job] = await engine.jobs(held)
  expect(job).toMatchObject({ status: 'queued', seq: 2, attempt: 0, error: { code: 'snoozed' } })
  await release()
  expect(await engine.over(held)).toBe('succeeded')
  expect(await engine.attempts(job?.id ?? '')).toMatchObject([{ outcome: 'snoozed' }])
})
