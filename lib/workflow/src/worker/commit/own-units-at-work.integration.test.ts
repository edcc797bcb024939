import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { aJob } from '../../../test/a-job.ts'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { note, ownFunction, useOwnUnits } from '../../../test/own-units.ts'
import { cancelRun } from '../../index.ts'
import { markRunning } from '../../job/mark-running.ts'

let engine: Engine

const { begin, jobOf, leadsWorkflow, notes, sessions } = useOwnUnits((opened) => {
  engine = opened
})

test('while its function is at work a job shows as running, and by whom', async () => {
  const gate = Promise.withResolvers<void>()
  await engine.startWorker(
    [
      ownFunction('shown', async ({ em, job }) => {
        await note(em, job.id, 'shown')
        await gate.promise
      }),
    ],
    { worker: 'shows' },
  )
  const run = await begin('shown', null, { outputType: null })
  await waitFor(async () => (await jobOf(run)).status === 'running', { describe: () => jobOf(run) })
  expect(await jobOf(run)).toMatchObject({ worker: 'shows', seq: 1, claim: null })
  expect(await notes()).toEqual([])
  gate.resolve()
  expect(await engine.over(run)).toBe('succeeded')
})

test('a job is not marked for whoever comes second, and nobody waits for its row', async () => {
  const run = await begin('marked')
  const { id, seq } = await jobOf(run)
  const job = { ...aJob, id, seq }
  const holder = engine.em()
  await holder.begin()
  await queryable(holder).query('select from workflow_job where id = $1 for no key update', [id])
  await markRunning(engine.em(), job, 'second')
  await holder.rollback()
  await markRunning(engine.em(), { ...job, seq: seq + 1 }, 'of another message')
  await markRunning(engine.em(), { ...job, claim: randomUUID() }, 'of another claim')
  expect(await jobOf(run)).toMatchObject({ status: 'queued', worker: null })
  await cancelRun(engine.em(), run)
  await markRunning(engine.em(), job, 'late')
  expect(await jobOf(run)).toMatchObject({ status: 'cancelled', worker: null })
})

test('when its time is up the session is ended within its statement, and nothing that comes later is written', async () => {
  const gate = Promise.withResolvers<void>()
  const late = Promise.withResolvers<unknown>()
  await engine.startWorker([
    ownFunction('sleeps', async ({ em, job }) => {
      await note(em, job.id, 'before')
      await queryable(em).query('select pg_sleep(60)', [])
    }),
    ownFunction('hangs', async ({ em, job }) => {
      await note(em, job.id, 'before')
      await gate.promise
      late.resolve(await Promise.allSettled([note(em, job.id, 'late'), em.execute('select 1'), em.commit()]))
    }),
  ])
  const begun = performance.now()
  for (const name of ['sleeps', 'hangs']) {
    const run = await begin(name, null, { outputType: null, timeoutMs: 300, retry: { maxAttempts: 1 } })
    expect(await engine.over(run)).toBe('failed')
    expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'timed_out' } })
  }
  expect(performance.now() - begun).toBeLessThan(10_000)
  expect(await sessions(`query like '%pg_sleep%' and state = 'active'`)).toBe(0)
  gate.resolve()
  expect(await late.promise).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }, { status: 'rejected' }])
  expect(await notes()).toEqual([])
})

test('the server gives up the transaction of a worker that is frozen or cut off some seconds after its time', async () => {
  const settings: unknown[] = []
  await engine.startWorker([
    ownFunction('asks', async ({ em }) => {
      for (const name of ['statement_timeout', 'idle_in_transaction_session_timeout']) {
        settings.push(...(await queryable(em).query('select current_setting($1) as value', [name])).rows)
      }
    }),
  ])
  await engine.over(await begin('asks', null, { outputType: null, timeoutMs: 2_000 }))
  expect(settings).toEqual([{ value: '7s' }, { value: '7s' }])
})

test('a cancel reaches it, and nothing that it wrote stays', async () => {
  const signals: AbortSignal[] = []
  await engine.startWorker([
    ownFunction('cancelled', async ({ em, job, signal }) => {
      await note(em, job.id, 'never')
      signals.push(signal)
      await new Promise(() => undefined)
    }),
  ])
  const run = await begin('cancelled')
  await waitFor(() => signals.length === 1)
  await engine.query(`update workflow_run set status = 'cancelling' where id = $1`, [run])
  await waitFor(() => signals[0]?.aborted)
  await waitFor(async () => (await jobOf(run)).status === 'cancelled')
  expect(await notes()).toEqual([])
  await engine.query(`update workflow_run set status = 'cancelled', finished_at = now() where id = $1`, [run])
})

test('eight of a function run at a time, and other functions are not held up by them, with units of their own or without', async () => {
  const gate = Promise.withResolvers<void>()
  let running = 0
  await engine.startWorker([
    ownFunction('holds', async ({ em, job }) => {
      running += 1
      await note(em, job.id, job.id)
      await gate.promise
      return null
    }),
    functionOf('passes', async () => {
      await gate.promise
      return 'through'
    }),
    ownFunction('quick', ({ em, job }) => note(em, job.id, 'quick')),
    functionOf('next', () => null),
  ])
  const held = await engine.begin(await leadsWorkflow('holds'), Array.from({ length: 20 }))
  await waitFor(() => running === 8)
  expect(await engine.over(await begin('quick', null, { outputType: null }))).toBe('succeeded')
  const passes = await begin('passes')
  // From here on also the jobs that wait for a session are long ones.
  await waitFor(async () => (await jobOf(passes)).status === 'running')
  expect(running).toBe(8)
  gate.resolve()
  expect(await engine.over(passes)).toBe('succeeded')
  expect(await engine.over(held)).toBe('succeeded')
  expect(await notes()).toHaveLength(21)
})
