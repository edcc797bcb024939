import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { expectConserved } from '../../../test/expect-conserved.ts'
import { fanOut } from '../../../test/gated.ts'
import { holdLocked, lockSqls, waitForLocks } from '../../../test/hold-locked.ts'
import { note, ownFunction, useOwnUnits } from '../../../test/own-units.ts'
import { fail } from '../../index.ts'
import { ownUnitsAtOnce } from '../pools.ts'

let engine: Engine

const { notes } = useOwnUnits((opened) => {
  engine = opened
})

/** Has what waits for later be due now. */
const hurry = () => engine.query(`update outbox_scheduled set available_at = now()`)

/** A function that notes its payload and, but for a payload `free`, waits until it may end, and then fails if it is to. */
const gatedOwn = (name: string) => {
  const gate = Promise.withResolvers<void>()
  const calls: unknown[] = []
  const fn = ownFunction(name, async ({ em, job, payload }) => {
    calls.push(payload)
    await note(em, job.id, `${String(payload)} of ${job.id}`)
    if (payload !== 'free') await gate.promise
    return payload === 'fails' ? fail('it has to') : payload
  })
  return { functions: [fn, functionOf(`${name}.next`, () => undefined)], calls, go: gate.resolve }
}

for (const payload of ['fails', 'succeeds']) {
  test(`while a run is held, a function with a unit of its own that ${payload} leaves its places to others`, async () => {
    const name = `own ${payload}`
    const { functions, calls, go } = gatedOwn(name)
    const worker = await engine.startWorker(functions)
    const workflow = await fanOut(engine, name)
    const run = await engine.begin(workflow, Array<string>(ownUnitsAtOnce).fill(payload))
    await waitFor(() => calls.length === ownUnitsAtOnce)
    const { release } = await holdLocked(engine, lockSqls.counters, run)
    go()
    expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
    await release()
    await hurry()
    expect(await engine.over(run)).toBe(payload === 'fails' ? 'failed' : 'succeeded')
    const [, ...jobs] = (await engine.jobs(run)).filter(({ step }) => step < 2)
    // What was put off has burnt no attempt.
    expect(jobs.map(({ attempt }) => attempt)).toEqual(jobs.map(() => 1))
    expect(worker.saw('delivery.handed-back')).toEqual([])
    const written = (await notes()).filter(({ text }) => text.startsWith(payload))
    expect(written).toHaveLength(payload === 'fails' ? 0 : ownUnitsAtOnce)
    await expectConserved(engine)
  })
}

test('a result that waits for the counters of its run when its worker is asked to stop is put off within the grace period', async () => {
  const name = 'own, stopped'
  const { functions, calls, go } = gatedOwn(name)
  const worker = await engine.startWorker(functions, { graceMs: 4_500 })
  const workflow = await fanOut(engine, name)
  const run = await engine.begin(workflow, ['succeeds'])
  await waitFor(() => calls.length === 1)
  const { release } = await holdLocked(engine, lockSqls.counters, run)
  go()
  await waitFor(() => worker.saw('commit.held-up').length > 0)
  await worker.stop()
  expect([...worker.saw('belt.fault'), ...worker.saw('delivery.handed-back')]).toEqual([])
  expect((await engine.jobs(run))[1]).toMatchObject({ status: 'queued', attempt: 0, error: { code: 'snoozed' } })
  await release()
  await hurry()
  await engine.startWorker(functions)
  expect(await engine.over(run)).toBe('succeeded')
  expect((await notes()).filter(({ text }) => text.startsWith('succeeds'))).toHaveLength(1)
})

const jobsSql = 'select from workflow_job where run_id = $1 and parent_id is not null for update'

test('jobs whose own rows somebody holds are put off after half a minute, told as held, and leave no session behind', async () => {
  const name = 'own, row held'
  const { functions, calls } = gatedOwn(name)
  const workflow = await fanOut(engine, name)
  const run = await engine.begin(workflow, Array<string>(ownUnitsAtOnce).fill('free'))
  const { release } = await holdLocked(engine, jobsSql, run)
  const worker = await engine.startWorker(functions)
  await waitFor(async () => (await waitForLocks(engine)) === ownUnitsAtOnce)
  // Whoever comes behind them has their places then.
  expect(await engine.over(await engine.begin(workflow, ['free']), 45_000)).toBe('succeeded')
  await waitFor(() => worker.saw('delivery.dropped').length === ownUnitsAtOnce)
  expect(await waitForLocks(engine)).toBe(0)
  const dropped = Array.from({ length: ownUnitsAtOnce }, () => ({ reason: 'job is held locked' }))
  expect(worker.saw('delivery.dropped')).toMatchObject(dropped)
  expect(worker.saw('commit.held-up')).toHaveLength(ownUnitsAtOnce)
  expect([...worker.saw('database.unavailable'), ...worker.saw('delivery.handed-back')]).toEqual([])
  expect(calls).toHaveLength(1)
  await release()
  await hurry()
  expect(await engine.over(run)).toBe('succeeded')
  await expectConserved(engine)
}, 90_000)

test('what stands in line for a place when its worker is asked to stop does not begin, and is there for the next one', async () => {
  const name = 'own, in line'
  const { functions, calls, go } = gatedOwn(name)
  const worker = await engine.startWorker(functions, { graceMs: 20_000 })
  const workflow = await fanOut(engine, name)
  const run = await engine.begin(workflow, Array<string>(ownUnitsAtOnce + 3).fill('succeeds'))
  await waitFor(() => calls.length === ownUnitsAtOnce)
  await waitFor(async () => (await engine.broker.count(name)) === 0)
  const stopping = worker.stop()
  // Before any place is free.
  await waitFor(() => worker.saw('job.written').length === 3)
  go()
  await stopping
  expect(calls).toHaveLength(ownUnitsAtOnce)
  expect([...worker.saw('belt.fault'), ...worker.saw('delivery.handed-back')]).toEqual([])
  await engine.startWorker(functions)
  expect(await engine.over(run)).toBe('succeeded')
  expect(calls).toHaveLength(ownUnitsAtOnce + 3)
  const [, ...jobs] = (await engine.jobs(run)).filter(({ step }) => step < 2)
  expect(jobs.map(({ attempt }) => attempt)).toEqual(jobs.map(() => 1))
  await expectConserved(engine)
})

test('a job that waits for its own row when its worker is asked to stop is put off at once, and leaves no session behind', async () => {
  const name = 'own, row held at a stop'
  const { functions, calls } = gatedOwn(name)
  const workflow = await fanOut(engine, name)
  const run = await engine.begin(workflow, ['free', 'free'])
  const { release } = await holdLocked(engine, jobsSql, run)
  // A wait that went on would have the messages back in the queue, handed out once more.
  const worker = await engine.startWorker(functions, { graceMs: 10_000 })
  await waitFor(async () => (await waitForLocks(engine)) === 2)
  await worker.stop()
  expect(await waitForLocks(engine)).toBe(0)
  expect(worker.saw('delivery.dropped')).toMatchObject([
    { reason: 'job is held locked' },
    { reason: 'job is held locked' },
  ])
  expect([...worker.saw('belt.fault'), ...worker.saw('delivery.handed-back')]).toEqual([])
  expect(worker.saw('database.unavailable')).toEqual([])
  expect(calls).toEqual([])
  await release()
  await hurry()
  await engine.startWorker(functions)
  expect(await engine.over(run)).toBe('succeeded')
  expect((await engine.jobs(run)).map(({ attempt }) => attempt)).toEqual((await engine.jobs(run)).map(() => 1))
  await expectConserved(engine)
})
