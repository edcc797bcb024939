import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A first step that splits when it is let go, and a second that takes the parts. */
const splitWorkflow = (name: string) =>
  engine.saveWorkflow(
    { functionName: name, outputType: 'multiple' },
    { functionName: `${name}.next`, outputType: null },
  )

/** A function that gives two items once `go` is called; `calls` are the attempts that have begun. */
const gatedSplit = (name: string) => {
  const gate = Promise.withResolvers<void>()
  const calls: AbortSignal[] = []
  const fn = functionOf(name, async ({ signal }) => {
    calls.push(signal)
    await gate.promise
    return ['a', 'b']
  })
  return { fn, calls, go: gate.resolve }
}

const next = (name: string) => functionOf(`${name}.next`, () => undefined)

/** What a run of `splitWorkflow` must leave, however often its messages came. */
const expectOneEffect = async (run: string) => {
  expect(await engine.over(run)).toBe('succeeded')
  expect(await engine.jobs(run)).toMatchObject([
    { step: 0, status: 'succeeded', attempt: 1, seq: 1 },
    { step: 1, status: 'succeeded', attempt: 1, payload: 'a' },
    { step: 1, status: 'succeeded', attempt: 1, payload: 'b' },
  ])
  expect(await engine.untrueCounters()).toEqual([])
}

const firstJob = async (run: string): Promise<string> => {
  const [job] = await engine.jobs(run)
  if (job === undefined) throw new Error('the run has no job')
  return job.id
}

test('a message of a job that is over changes nothing, is seen and acked', async () => {
  const { fn, calls, go } = gatedSplit('over')
  go()
  const worker = await engine.startWorker([fn, next('over')])
  const run = await engine.begin(await splitWorkflow('over'), null)
  await expectOneEffect(run)
  const before = await engine.jobs(run)
  await engine.broker.publish('over', { jobId: await firstJob(run), seq: 1 })
  await waitFor(() => worker.saw('delivery.dropped').length === 1)
  expect(worker.saw('delivery.dropped')).toEqual([
    { kind: 'delivery.dropped', functionName: 'over', jobId: await firstJob(run), reason: 'job is over' },
  ])
  await worker.stop()
  expect(await engine.broker.count('over')).toBe(0)
  expect(calls).toHaveLength(1)
  expect(await engine.jobs(run)).toEqual(before)
  await expectOneEffect(run)
})

test('messages of an older try and of a job that nobody knows are dropped, seen and acked', async () => {
  const calls: number[] = []
  const worker = await engine.startWorker([
    functionOf('older', ({ attempt }) => {
      calls.push(attempt)
      throw new Error('not yet')
    }),
  ])
  const workflow = await engine.saveWorkflow({
    functionName: 'older',
    outputType: null,
    retry: { delayMs: 3_600_000, maxDelayMs: 3_600_000 },
  })
  const run = await engine.begin(workflow, null)
  await waitFor(() => worker.saw('job.written').length === 1)
  const unknownId = '0190b1a2-7a4f-7c3e-9d1b-2f5d8e9a1c34'
  await engine.broker.publish('older', { jobId: await firstJob(run), seq: 1 })
  await engine.broker.publish('older', { jobId: unknownId, seq: 1 })
  // Not one that was sent yet, so whoever wrote it is not ours.
  await engine.broker.publish('older', { jobId: await firstJob(run), seq: 9 })
  await waitFor(() => worker.saw('delivery.dropped').length === 3)
  expect(worker.saw('delivery.dropped')).toMatchObject([
    { jobId: await firstJob(run), reason: 'older message' },
    { jobId: unknownId, reason: 'unknown job' },
    { jobId: await firstJob(run), reason: 'older message' },
  ])
  await worker.stop()
  expect(await engine.broker.count('older')).toBe(0)
  expect(calls).toEqual([1])
  expect(await engine.jobs(run)).toMatchObject([{ status: 'queued', seq: 2, attempt: 1 }])
})

test('messages that cannot be read are dropped, seen and acked, and the next one is served', async () => {
  const { fn, go } = gatedSplit('unreadable')
  go()
  const worker = await engine.startWorker([fn, next('unreadable')])
  await engine.publishBytes('unreadable', Buffer.from('{ "jobId": '))
  for (const payload of ['text', null, {}, { jobId: 'seven', seq: 1 }, { jobId: await randomJobId(), seq: 0 }]) {
    await engine.broker.publish('unreadable', payload)
  }
  await waitFor(() => worker.saw('belt.unreadable').length === 6)
  for (const event of worker.saw('belt.unreadable')) {
    expect(event).toEqual({ kind: 'belt.unreadable', queue: 'unreadable', reason: expect.stringMatching(/./) })
  }
  await expectOneEffect(await engine.begin(await splitWorkflow('unreadable'), null))
  await worker.stop()
  expect(await engine.broker.count('unreadable')).toBe(0)
})

const randomJobId = async (): Promise<string> => firstJob(await engine.begin(await splitWorkflow('nobody'), null))

test('a message that comes twice while its job runs has one effect, also when both end in the same moment', async () => {
  const both = Promise.withResolvers<void>()
  // Still open when the two are written, so that the table's checks would take a count of one too many.
  const other = Promise.withResolvers<void>()
  const calls: unknown[] = []
  const worker = await engine.startWorker([
    functionOf('twice', async ({ payload }) => {
      calls.push(payload)
      await (payload === 'other' ? other : both).promise
      return ['a', 'b']
    }),
    next('twice'),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'twice', outputType: 'multiple' },
    { functionName: 'twice.next', outputType: null },
  )
  const run = await engine.begin(workflow, ['twice', 'other'])
  await waitFor(() => calls.length === 2)
  const twice = (await engine.jobs(run)).find(({ payload }) => payload === 'twice')
  await engine.broker.publish('twice', { jobId: twice?.id, seq: 1 })
  await waitFor(() => calls.length === 3)
  both.resolve()
  await waitFor(() => worker.saw('delivery.dropped').length === 1)
  expect(worker.saw('delivery.dropped')).toMatchObject([{ jobId: twice?.id, reason: 'job is over' }])
  expect(await engine.untrueCounters()).toEqual([])
  other.resolve()
  expect(await engine.over(run)).toBe('succeeded')
  expect((await engine.jobs(run)).map(({ step }) => step)).toEqual([0, 1, 1, 2, 2, 2, 2])
  expect(await engine.untrueCounters()).toEqual([])
})

test('a message that comes twice to two workers has one effect', async () => {
  const { fn, calls, go } = gatedSplit('both')
  const workers = [
    await engine.startWorker([fn], { worker: 'one', prefetch: 1 }),
    await engine.startWorker([fn], { worker: 'two', prefetch: 1 }),
    await engine.startWorker([next('both')]),
  ]
  const run = await engine.begin(await splitWorkflow('both'), null)
  await engine.broker.publish('both', { jobId: await firstJob(run), seq: 1 })
  await waitFor(() => calls.length === 2)
  go()
  await expectOneEffect(run)
  await waitFor(() => workers.flatMap((worker) => worker.saw('delivery.dropped')).length === 1)
})

test('a long job is shown as running, and a second message takes it over once: one effect, the loser is told', async () => {
  const { fn, calls, go } = gatedSplit('long')
  const workers = [
    await engine.startWorker([fn], { worker: 'one', prefetch: 1 }),
    await engine.startWorker([fn], { worker: 'two', prefetch: 1 }),
    await engine.startWorker([next('long')]),
  ]
  const run = await engine.begin(await splitWorkflow('long'), null)
  const claimed = await waitFor(async () => {
    const [job] = await engine.jobs(run)
    return job?.status === 'running' && job
  })
  expect(claimed).toMatchObject({ claim: expect.any(String), worker: expect.stringMatching(/^(one|two)$/) })
  await engine.broker.publish('long', { jobId: claimed.id, seq: 1 })
  await waitFor(() => calls.length === 2)
  expect(await engine.jobs(run)).not.toMatchObject([{ claim: claimed.claim }])
  go()
  await expectOneEffect(run)
  await waitFor(() => workers.flatMap((worker) => worker.saw('delivery.dropped')).length === 1)
})

test('of two deliveries of a long job one takes it, and the other is aborted and drops its message', async () => {
  const { fn, calls, go } = gatedSplit('rivals')
  const worker = await engine.startWorker([fn, next('rivals')])
  const run = await engine.begin(await splitWorkflow('rivals'), null)
  await engine.broker.publish('rivals', { jobId: await firstJob(run), seq: 1 })
  await waitFor(() => calls.some((signal) => signal.aborted))
  expect(calls.map((signal) => signal.aborted).toSorted(byTruth)).toEqual([false, true])
  await waitFor(() => worker.saw('delivery.dropped').length === 1)
  expect(worker.saw('delivery.dropped')).toMatchObject([{ reason: 'held by another' }])
  go()
  await expectOneEffect(run)
})

const byTruth = (a: boolean, b: boolean) => Number(a) - Number(b)

test('what keeps a run from being ended is told, fails no job and holds up no message', async () => {
  await engine.query(`
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this run'; end $$;
    create trigger refuse before update on workflow_run for each row execute function refuse()`)
  const worker = await engine.startWorker([functionOf('unended', () => 'done')])
  const run = await engine.begin(await engine.saveWorkflow({ functionName: 'unended', outputType: 'single' }), null)
  await waitFor(() => worker.saw('settle.failed').length > 0)
  expect(worker.saw('settle.failed')).toEqual([
    { kind: 'settle.failed', runs: 1, reason: expect.stringContaining('not this run') },
  ])
  await worker.stop()
  await engine.query('drop function refuse cascade')
  expect(worker.saw('delivery.handed-back')).toEqual([])
  expect(await engine.broker.count('unended')).toBe(0)
  expect(await engine.jobs(run)).toMatchObject([{ status: 'succeeded', output: 'done', error: null }])
  expect(await engine.statusOf(run)).toBe('running')
})

test('a run that somebody holds locked keeps no job from being written and acked, its own or another', async () => {
  const worker = await engine.startWorker([functionOf('locked', () => 'done')])
  const workflow = await engine.saveWorkflow({ functionName: 'locked', outputType: 'single' })
  const holder = engine.em()
  await holder.begin()
  const run = await engine.begin(workflow, null)
  await queryable(holder).query('select id from workflow_run where id = $1 for no key update', [run])
  const others = [await engine.begin(workflow, null), await engine.begin(workflow, null)]
  await waitFor(() => worker.saw('job.written').length === 3)
  await holder.rollback()
  for (const one of [run, ...others]) expect(await engine.over(one)).toBe('succeeded')
  await worker.stop()
  expect(await engine.broker.count('locked')).toBe(0)
})

test('a message in the queue of another function is dropped and seen, and its job is done by its own', async () => {
  const calls: string[] = []
  const worker = await engine.startWorker([
    functionOf('own', () => calls.push('own')),
    functionOf('foreign', () => calls.push('foreign')),
  ])
  await worker.stop()
  const run = await engine.begin(await engine.saveWorkflow({ functionName: 'own', outputType: null }), null)
  const jobId = await firstJob(run)
  await engine.broker.publish('foreign', { jobId, seq: 1 })
  const foreign = await engine.startWorker([functionOf('foreign', () => calls.push('foreign'))])
  await waitFor(() => foreign.saw('delivery.dropped').length === 1)
  expect(foreign.saw('delivery.dropped')).toEqual([
    { kind: 'delivery.dropped', functionName: 'foreign', jobId, reason: 'queue of another function' },
  ])
  expect(await engine.jobs(run)).toMatchObject([{ status: 'queued', attempt: 0 }])
  await engine.startWorker([functionOf('own', () => calls.push('own'))])
  expect(await engine.over(run)).toBe('succeeded')
  expect(calls).toEqual(['own'])
})

test.each(['staged', 'hidden'])(
  'a message of a job that is %s is dropped and seen, and does not come again',
  async (status) => {
    const calls: unknown[] = []
    const run = await engine.begin(await engine.saveWorkflow({ functionName: status, outputType: null }), null)
    const belt = status === 'staged' ? 'belt = 0, staged = 1' : 'belt = 0'
    await engine.query(`update workflow_job set status = '${status}' where run_id = $1`, [run])
    await engine.query(`update workflow_run_step set ${belt} where run_id = $1`, [run])
    const worker = await engine.startWorker([functionOf(status, () => calls.push(status))])
    await waitFor(() => worker.saw('delivery.dropped').length === 1)
    const jobId = await firstJob(run)
    expect(worker.saw('delivery.dropped')).toMatchObject([{ jobId, reason: 'job is not on the belt' }])
    await worker.stop()
    expect(await engine.broker.count(status)).toBe(0)
    expect(worker.saw('delivery.handed-back')).toEqual([])
    expect(calls).toEqual([])

    // As a release will do it.
    await engine.query(`update workflow_job set status = 'queued', seq = 2 where run_id = $1`, [run])
    await engine.query(`update workflow_run_step set belt = 1, staged = 0 where run_id = $1`, [run])
    await engine.broker.publish(status, { jobId, seq: 2 })
    await engine.startWorker([functionOf(status, () => calls.push(status))])
    expect(await engine.over(run)).toBe('succeeded')
    expect(calls).toEqual([status])
  },
)

test('a job whose step is not in the version of its run ends failed and says so', async () => {
  const run = await engine.begin(await engine.saveWorkflow({ functionName: 'stepless', outputType: null }), null)
  const stepId = '0190b1a2-7a4f-7c3e-9d1b-2f5d8e9a1c35'
  await engine.query(`update workflow_run_step set step_id = $2 where run_id = $1`, [run, stepId])
  await engine.query(`update workflow_job set step_id = $2 where run_id = $1`, [run, stepId])
  const worker = await engine.startWorker([functionOf('stepless', () => undefined)])
  expect(await engine.over(run)).toBe('failed')
  const message = expect.stringMatching(
    /^version 1 of workflow [-0-9a-f]+ has no step 0190b1a2-7a4f-7c3e-9d1b-2f5d8e9a1c35$/,
  )
  expect(worker.saw('job.written')).toMatchObject([{ ending: 'failed', error: { code: 'step_unknown', message } }])
  await worker.stop()
  expect(await engine.broker.count('stepless')).toBe(0)
})
