import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { fanOut, gated } from '../../../test/gated.ts'
import { holdLocked, lockSqls, updateSql, waitForLocks } from '../../../test/hold-locked.ts'
import { numbers, pageOf, resumableOf } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { cancelRun } from '../../run/cancel-run.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

for (const [what, lockSql] of Object.entries(lockSqls)) {
  test(`while two runs are held locked by their ${what}, others of their function pass, and then they end`, async () => {
    const name = `held by its ${what}`
    const { functions, calls, go } = gated(name)
    const worker = await engine.startWorker(functions)
    const workflow = await fanOut(engine, name)
    const first = await engine.begin(workflow, ['first', 'first', 'first'])
    const second = await engine.begin(workflow, ['second', 'second', 'second'])
    await waitFor(() => calls.length === 6)
    const holders = [await holdLocked(engine, lockSql, first), await holdLocked(engine, lockSql, second)]
    go('first')
    await waitFor(async () => (await waitForLocks(engine)) > 0)
    go('second')
    // Each in a group of its own.
    await waitFor(async () => (await waitForLocks(engine)) > 1 || worker.saw('commit.held-up').length > 1)
    const runs = [first, second]
    for (let turn = 0; turn < 3; turn += 1) {
      expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
    }
    for (const run of runs) {
      expect(await engine.statusOf(run)).toBe('running')
      expect((await engine.jobs(run)).filter(({ step }) => step === 2)).toEqual([])
    }
    for (const { release } of holders) await release()
    for (const run of runs) {
      expect(await engine.over(run)).toBe('succeeded')
      for (const { id } of await engine.jobs(run)) expect(await engine.attempts(id)).toEqual([])
    }
    expect(calls).toHaveLength(9)
    expect(await engine.untrueCounters()).toEqual([])
    expect(worker.saw('delivery.handed-back')).toEqual([])
  })
}

const rowSqls = { 'a lock on its row': lockSqls.row, 'an update of its row': updateSql }

for (const [what, lockSql] of Object.entries(rowSqls)) {
  test(`while a run that is over cannot be ended, for ${what}, others are`, async () => {
    const name = `over, but for ${what}`
    const { functions, calls, go } = gated(name)
    const worker = await engine.startWorker(functions)
    const workflow = await engine.saveWorkflow({ functionName: name, outputType: 'single' })
    const held = await engine.begin(workflow, 'first')
    await waitFor(() => calls.length === 1)
    const { release } = await holdLocked(engine, lockSql, held)
    go('first')
    await waitFor(async () => (await engine.jobs(held))[0]?.status === 'succeeded' && (await waitForLocks(engine)) > 0)
    expect(await engine.over(await engine.begin(workflow, 'free'))).toBe('succeeded')
    expect(await engine.statusOf(held)).toBe('running')
    await release()
    expect(await engine.over(held)).toBe('succeeded')
    expect(worker.saw('settle.failed')).toEqual([])
    expect(worker.saw('settle.held-up')).toMatchObject([{ runs: 1 }])
  })
}

test('while pages of two runs wait for their locks, pages of others of their function are written, and then theirs', async () => {
  const asked: unknown[] = []
  const gate = Promise.withResolvers<void>()
  const giving = resumableOf('giving', async function* ({ payload, cursor }) {
    for (let first = cursor ?? 0; first < 30; first += 10) {
      if (first === 10 && payload === 'held') {
        asked.push(payload)
        await gate.promise
      }
      yield pageOf(first, 10)
    }
  })
  const worker = await engine.startWorker([giving, functionOf('giving.next', () => undefined)], { pageItems: 10 })
  const workflow = await engine.saveWorkflow(
    { functionName: 'giving', outputType: 'multiple' },
    { functionName: 'giving.next', outputType: null },
  )
  const runs = [await engine.begin(workflow, 'held'), await engine.begin(workflow, 'held')]
  await waitFor(() => asked.length === 2)
  const ofFirstPages = async (run: string) =>
    (await engine.jobs(run)).filter(({ step, status }) => step === 1 && status === 'succeeded')
  for (const run of runs) await waitFor(async () => (await ofFirstPages(run)).length === 10)
  const holders = await Promise.all(runs.map((run) => holdLocked(engine, lockSqls.counters, run)))
  gate.resolve()
  await waitFor(async () => (await waitForLocks(engine)) > 1 || worker.saw('commit.held-up').length > 1)
  expect(await engine.over(await engine.begin(workflow, 'free'))).toBe('succeeded')
  for (const { release } of holders) await release()
  for (const run of runs) {
    expect(await engine.over(run)).toBe('succeeded')
    const [parent, ...items] = await engine.jobs(run)
    expect(items.map(({ payload }) => payload)).toEqual(numbers(0, 30))
    expect(await engine.attempts(parent?.id ?? '')).toEqual([])
  }
  expect(await engine.untrueCounters()).toEqual([])
})

test('while two jobs that are to be taken over are held locked, others of their function are, and then those', async () => {
  const gates = new Map(['first', 'second'].map((payload) => [payload, Promise.withResolvers<void>()]))
  const asked: string[] = []
  // A stream takes its job over before its first page.
  const taking = resumableOf('taking', async function* ({ payload }) {
    asked.push(String(payload))
    await gates.get(String(payload))?.promise
    for (let first = 0; first < 20; first += 10) yield pageOf(first, 10)
  })
  const worker = await engine.startWorker([taking, functionOf('taking.next', () => undefined)], { pageItems: 10 })
  const workflow = await engine.saveWorkflow(
    { functionName: 'taking', outputType: 'multiple' },
    { functionName: 'taking.next', outputType: null },
  )
  const runs: string[] = []
  const holders: { release: () => Promise<void> }[] = []
  for (const payload of gates.keys()) {
    const run = await engine.begin(workflow, payload)
    runs.push(run)
    await waitFor(() => asked.includes(payload))
    holders.push(await holdLocked(engine, 'select from workflow_job where run_id = $1 for update', run))
    gates.get(payload)?.resolve()
    // Each in a statement of its own.
    await waitFor(
      async () => (await waitForLocks(engine)) === runs.length || worker.saw('commit.held-up').length === runs.length,
    )
  }
  expect(await engine.over(await engine.begin(workflow, 'free'))).toBe('succeeded')
  for (const { release } of holders) await release()
  for (const run of runs) {
    expect(await engine.over(run)).toBe('succeeded')
    const [parent, ...items] = await engine.jobs(run)
    expect(items.map(({ payload }) => payload)).toEqual(numbers(0, 20))
    expect(await engine.attempts(parent?.id ?? '')).toEqual([])
  }
  expect(asked).toEqual(['first', 'second', 'free'])
})

test('a run that is held locked can be cancelled, and what had ended meanwhile is dropped', async () => {
  const name = 'held and cancelled'
  const { functions, calls, go } = gated(name)
  const worker = await engine.startWorker(functions)
  const workflow = await fanOut(engine, name)
  const held = await engine.begin(workflow, ['first', 'first', 'second'])
  await waitFor(() => calls.length === 3)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  go('first')
  await waitFor(() => worker.saw('commit.held-up').length > 0)
  const cancelling = cancelRun(engine.em(), held)
  expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
  expect(await engine.statusOf(held)).toBe('cancelling')
  go('second')
  await release()
  await cancelling
  expect(await engine.over(held)).toBe('cancelled')
  expect(await engine.untrueCounters()).toEqual([])
})

test('a worker that is stopped while a run is held locked ends in its grace period, and the next one ends the job', async () => {
  const name = 'held and stopped'
  const { functions, calls, go } = gated(name)
  const worker = await engine.startWorker(functions, { graceMs: 300 })
  const workflow = await fanOut(engine, name)
  const held = await engine.begin(workflow, ['first'])
  await waitFor(() => calls.length === 1)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  go('first')
  await waitFor(() => worker.saw('commit.held-up').length > 0)
  const begun = performance.now()
  await worker.stop()
  expect(performance.now() - begun).toBeLessThan(3_300)
  await engine.startWorker(functions)
  await release()
  expect(await engine.over(held)).toBe('succeeded')
  expect(await engine.untrueCounters()).toEqual([])
})

test('what waits for a held run when its worker is stopped gets a new message, and the worker ends before its time', async () => {
  const name = 'held and put off'
  const { functions, calls, go } = gated(name)
  const worker = await engine.startWorker(functions, { graceMs: 15_000 })
  const workflow = await fanOut(engine, name)
  const held = await engine.begin(workflow, ['first', 'first'])
  await waitFor(() => calls.length === 2)
  const { release } = await holdLocked(engine, lockSqls.counters, held)
  go('first')
  await waitFor(() => worker.saw('commit.held-up').length > 0)
  await worker.stop()
  // Of what was not done within the grace period.
  expect([...worker.saw('belt.fault'), ...worker.saw('delivery.handed-back')]).toEqual([])
  const [, ...jobs] = await engine.jobs(held)
  const putOff = { status: 'queued', seq: 2, attempt: 0, error: { code: 'snoozed' } }
  expect(jobs).toMatchObject([putOff, putOff])
  await release()
  await engine.startWorker(functions)
  expect(await engine.over(held)).toBe('succeeded')
  expect(await engine.untrueCounters()).toEqual([])
})
