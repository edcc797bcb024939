import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { expectConserved } from '../../../test/expect-conserved.ts'
import { fanOut, gated } from '../../../test/gated.ts'
import { holdLocked, jobSql, lockSqls, waitForLocks } from '../../../test/hold-locked.ts'
import { numbers, pageOf, resumableOf } from '../../../test/streams.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const putOff = 'job is held locked'

/** Has what waits for later be due now. */
const hurry = () => engine.query(`update outbox_scheduled set available_at = now()`)

/** Messages of a function that wait for later. */
const later = (name: string) =>
  engine.query(`select payload from outbox_scheduled where routing_key = $1 and available_at > now()`, [name])

const beginHeld = async (name: string, calls: readonly string[], workflow: Awaited<ReturnType<typeof fanOut>>) => {
  const run = await engine.begin(workflow, ['first'])
  await waitFor(() => calls.length === 1)
  const [, job] = await engine.jobs(run)
  return { run, ...(await holdLocked(engine, jobSql, job?.id ?? '')) }
}

test('where a function has one place, a job that is held locked leaves that to others, and is not called while it is held', async () => {
  const name = 'job held and alone'
  const { functions, calls, go } = gated(name)
  const worker = await engine.startWorker(functions, { prefetch: 1 })
  const workflow = await fanOut(engine, name)
  const { run, release } = await beginHeld(name, calls, workflow)
  go('first')
  expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
  expect(worker.saw('delivery.dropped')).toMatchObject([{ reason: putOff }])
  await hurry()
  await waitFor(() => worker.saw('delivery.dropped').length === 2)
  expect(await engine.over(await engine.begin(workflow, ['free']))).toBe('succeeded')
  expect(calls).toEqual(['first', 'free', 'free'])
  expect(await later(name)).toMatchObject([{ payload: { seq: 1, putOff: { times: 2 } } }])
  await release()
  await hurry()
  expect(await engine.over(run)).toBe('succeeded')
  expect(calls).toEqual(['first', 'free', 'free', 'first'])
  expect(worker.saw('delivery.handed-back')).toEqual([])
  await expectConserved(engine)
})

test('where a function has one place, a job that is to be taken over and is held locked leaves that to others', async () => {
  const asked: string[] = []
  const gate = Promise.withResolvers<void>()
  const taking = resumableOf('taking alone', async function* ({ payload }) {
    asked.push(String(payload))
    if (payload === 'first') await gate.promise
    for (let first = 0; first < 20; first += 10) yield pageOf(first, 10)
  })
  const next = functionOf('taking alone.next', () => undefined)
  const worker = await engine.startWorker([taking, next], { prefetch: 1, pageItems: 10 })
  const workflow = await engine.saveWorkflow(
    { functionName: 'taking alone', outputType: 'multiple' },
    { functionName: 'taking alone.next', outputType: null },
  )
  const run = await engine.begin(workflow, 'first')
  await waitFor(() => asked.length === 1)
  const [job] = await engine.jobs(run)
  const { release } = await holdLocked(engine, jobSql, job?.id ?? '')
  gate.resolve()
  expect(await engine.over(await engine.begin(workflow, 'free'))).toBe('succeeded')
  await release()
  await hurry()
  expect(await engine.over(run)).toBe('succeeded')
  const [, ...items] = await engine.jobs(run)
  expect(items.map(({ payload }) => payload)).toEqual(numbers(0, 20))
  expect(worker.saw('delivery.handed-back')).toEqual([])
  await expectConserved(engine)
})

test('a message that goes back since its worker has stopped says so, and not what Postgres said of its lock', async () => {
  const name = 'stopped at once'
  const { functions, calls, go } = gated(name)
  const worker = await engine.startWorker(functions, { graceMs: 300 })
  const { run, release } = await beginHeld(name, calls, await fanOut(engine, name))
  go('first')
  await waitFor(async () => (await waitForLocks(engine)) > 0)
  await worker.stop()
  await waitFor(() => worker.saw('delivery.handed-back').length > 0)
  const message = expect.stringMatching(/ESTEIRA_GRACE_MS/)
  expect(worker.saw('delivery.handed-back')).toMatchObject([{ error: { code: 'worker_stopped', message } }])
  await release()
  await engine.startWorker(functions)
  expect(await engine.over(run)).toBe('succeeded')
})

test.each([
  ['its own row', ({ job }: { job: string }) => [jobSql, job] as const],
  ['its run', ({ run }: { run: string }) => [lockSqls.counters, run] as const],
])(
  'an end that finds %s held when its worker is asked to stop is put off within a short grace period',
  async (what, lockOf) => {
    const name = `stopped, ${what} held`
    const { functions, calls, go } = gated(name)
    const worker = await engine.startWorker(functions, { graceMs: 3_500 })
    const workflow = await fanOut(engine, name)
    const [run, other] = [await engine.begin(workflow, ['first']), await engine.begin(workflow, ['first'])]
    await waitFor(() => calls.length === 2)
    const [, job] = await engine.jobs(run)
    const { release } = await holdLocked(engine, ...lockOf({ job: job?.id ?? '', run }))
    const stopping = worker.stop()
    go('first')
    await stopping
    // Of what was not done within the grace period.
    expect([...worker.saw('belt.fault'), ...worker.saw('delivery.handed-back')]).toEqual([])
    // Who waited beside it is written.
    expect((await engine.jobs(other))[1]).toMatchObject({ status: 'succeeded' })
    await release()
    await hurry()
    await engine.startWorker(functions)
    expect(await engine.over(run)).toBe('succeeded')
    expect(await engine.attempts(job?.id ?? '')).toHaveLength(what === 'its run' ? 1 : 0)
    await expectConserved(engine)
  },
)
