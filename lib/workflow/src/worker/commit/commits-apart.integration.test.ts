import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const fanOut = (functionName: string) =>
  engine.saveWorkflow({ functionName: 'CronJob', outputType: 'multiple' }, { functionName, outputType: null })

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

test('jobs of a run whose counters somebody holds locked hold up no other function of their worker', async () => {
  const gate = Promise.withResolvers<void>()
  let begun = 0
  const worker = await engine.startWorker([
    functionOf('blocked', async () => {
      begun += 1
      // In several groups, so that as many commits wait as may be under way.
      const isLater = begun % 2 === 0
      await gate.promise
      if (isLater) await new Promise((resolve) => setTimeout(resolve, 100))
    }),
    functionOf('free', () => undefined),
  ])
  const [blocked, free] = [await fanOut('blocked'), await fanOut('free')]
  const held = await engine.begin(blocked, numbers(40))
  await waitFor(() => begun === 40)
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query('select from workflow_run_step where run_id = $1 for update', [held])
  gate.resolve()
  for (const count of [50, 1, 50]) {
    expect(await engine.over(await engine.begin(free, numbers(count)))).toBe('succeeded')
  }
  expect((await engine.jobs(held)).filter(({ step, status }) => step === 1 && status === 'succeeded')).toEqual([])
  await holder.rollback()
  expect(await engine.over(held)).toBe('succeeded')
  expect(begun).toBe(40)
  expect(worker.saw('delivery.handed-back')).toEqual([])
})

test('while one commit waits for a lock, jobs of other runs of its function pass', async () => {
  const written: unknown[] = []
  const gate = Promise.withResolvers<void>()
  const worker = await engine.startWorker([
    functionOf('passed', async ({ payload }) => {
      if (payload === 'held') await gate.promise
      written.push(payload)
    }),
  ])
  const workflow = await engine.saveWorkflow({ functionName: 'passed', outputType: null })
  const held = await engine.begin(workflow, 'held')
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query('select from workflow_run_step where run_id = $1 for update', [held])
  gate.resolve()
  await waitFor(() => written.includes('held'))
  for (const payload of numbers(5)) {
    expect(await engine.over(await engine.begin(workflow, payload))).toBe('succeeded')
  }
  expect(await engine.statusOf(held)).toBe('running')
  await holder.rollback()
  expect(await engine.over(held)).toBe('succeeded')
  expect(worker.saw('job.written')).toHaveLength(6)
})

test('while the claim of one job waits for a lock, another job of its function is claimed and written', async () => {
  const workflow = await engine.saveWorkflow({ functionName: 'claimed', outputType: null })
  const held = await engine.begin(workflow, 'held')
  const [job] = await engine.jobs(held)
  // As if a worker that is gone had claimed it.
  await engine.query(`update workflow_job set status = 'running', claim = gen_random_uuid() where id = $1`, [job?.id])
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query('select from workflow_job where id = $1 for update', [job?.id])
  const gate = Promise.withResolvers<void>()
  const worker = await engine.startWorker([
    functionOf('claimed', async ({ payload }) => {
      if (payload === 'long') await gate.promise
    }),
  ])
  await waitFor(async () => (await engine.query(waitingSql)).length > 0)
  const long = await engine.begin(workflow, 'long')
  // It is claimed after a second.
  await waitFor(async () => (await engine.jobs(long))[0]?.status === 'running')
  gate.resolve()
  expect(await engine.over(long)).toBe('succeeded')
  expect(worker.saw('job.written')).toHaveLength(1)
  await holder.rollback()
  expect(await engine.over(held)).toBe('succeeded')
})

const waitingSql = `
  select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
