import { randomUUID } from 'node:crypto'
import { waitFor } from '@esteira/test/support'
import * as z from 'zod'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { defineFunction } from '../index.ts'
import { cancelJob } from './cancel-job.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A run with a job for each payload, of which nobody takes any yet. */
const begin = (functionName: string, payloads: readonly unknown[]): Promise<string> =>
  saved(functionName).then((workflow) => engine.begin(workflow, payloads))

const saved = (functionName: string) =>
  engine.saveWorkflow({ functionName: 'CronJob', outputType: 'multiple' }, { functionName, outputType: 'single' })

const jobsOf = async (run: string) => (await engine.jobs(run)).filter(({ step }) => step === 1)
const cancel = (id = '') => cancelJob(engine.em(), id)

test('a job that is queued is cancelled alone, its message is dropped, and its run ends without it', async () => {
  const run = await begin('queued', ['one', 'two', 'three'])
  const [, two] = await jobsOf(run)
  expect([await cancel(two?.id), await cancel(two?.id)]).toEqual(['cancelled', 'cancelled'])
  expect(await engine.untrueCounters()).toEqual([])
  const worker = await engine.startWorker([functionOf('queued', ({ payload }) => payload)])
  expect(await engine.over(run)).toBe('cancelled')
  expect((await jobsOf(run)).map(({ status, output }) => [status, output])).toEqual([
    ['succeeded', 'one'],
    ['cancelled', null],
    ['succeeded', 'three'],
  ])
  await waitFor(() => worker.saw('delivery.dropped').length === 1)
})

test('one that waits for room is cancelled and waits no more, and the last one ends its run', async () => {
  const run = await begin('staged', ['one', 'two'])
  await engine.query(
    `with staged as (
       update workflow_job set status = 'staged' where run_id = $1 and status = 'queued' returning id, run_id, step_id
     ), counted as (
       update workflow_run_step set belt = 0, staged = 2 where run_id = $1 and belt = 2
     )
     insert into workflow_waiting (run_id, step_id, job_id) select run_id, step_id, id from staged`,
    [run],
  )
  for (const { id } of await jobsOf(run)) expect(await cancel(id)).toBe('cancelled')
  expect(await engine.query(`select from workflow_waiting where run_id = $1`, [run])).toEqual([])
  expect(await engine.statusOf(run)).toBe('cancelled')
})

test('a function that runs hears that its job is cancelled, and nothing that it gives then is written', async () => {
  const heard: unknown[] = []
  const gate = Promise.withResolvers<void>()
  await engine.startWorker([
    functionOf('running', async ({ payload, signal }) => {
      signal.addEventListener('abort', () => heard.push(payload, signal.reason))
      await (payload === 'one' ? new Promise((resolve) => signal.addEventListener('abort', resolve)) : gate.promise)
      return 'done'
    }),
  ])
  const run = await begin('running', ['one', 'other'])
  await waitFor(async () => (await jobsOf(run)).every(({ status }) => status === 'running'))
  expect(await cancel((await jobsOf(run))[0]?.id)).toBe('cancelled')
  await waitFor(() => heard.length > 0)
  gate.resolve()
  expect(await engine.over(run)).toBe('cancelled')
  await engine.stopWorkers()
  expect(heard).toMatchObject(['one', { code: 'cancelled' }])
  expect(await jobsOf(run)).toMatchObject([
    { status: 'cancelled', output: null, claim: null },
    { status: 'succeeded', output: 'done' },
  ])
})

test('one that failed makes its run a failed one, whatever was cancelled beside it', async () => {
  const run = await begin('fails', ['bad', 'never'])
  const [, never] = await jobsOf(run)
  await cancel(never?.id)
  await engine.startWorker([
    functionOf('fails', () => Promise.reject(Object.assign(new Error('bad'), { final: true }))),
  ])
  expect(await engine.over(run)).toBe('failed')
})

test('jobs that are over, that are not there, and that somebody holds are left alone', async () => {
  const begun = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  await engine.startWorker([
    functionOf('over', () => 'done'),
    defineFunction({
      name: 'held',
      config: z.looseObject({}),
      unit: 'own',
      run: () => {
        begun.resolve()
        return gate.promise
      },
    }),
  ])
  const over = await begin('over', [1])
  expect(await engine.over(over)).toBe('succeeded')
  const [done] = await jobsOf(over)
  expect(await cancel(done?.id)).toEqual({ over: 'succeeded' })
  expect(await cancel(randomUUID())).toBe('job unknown')
  const run = await begin('held', [1])
  await begun.promise
  const [held] = await jobsOf(run)
  expect(await cancel(held?.id)).toBe('job busy')
  gate.resolve()
  expect(await engine.over(run)).toBe('succeeded')
})

test('a job that is cancelled while it ends is the one or the other, and counted so', async () => {
  await engine.startWorker([functionOf('races', ({ payload }) => payload)])
  const run = await begin(
    'races',
    Array.from({ length: 40 }, (_, index) => index),
  )
  await Promise.all((await jobsOf(run)).map(({ id }) => cancel(id)))
  await engine.over(run)
  for (const { status, payload, output } of await jobsOf(run)) {
    expect([status, output]).toEqual(status === 'cancelled' ? ['cancelled', null] : ['succeeded', payload])
  }
  expect(await engine.untrueCounters()).toEqual([])
})
