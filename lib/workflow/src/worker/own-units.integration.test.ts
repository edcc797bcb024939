import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { queryable } from '@esteira/outbox'
import { type Proxy, startProxy, waitFor } from '@esteira/test/support'
import type { EntityManager } from '@mikro-orm/postgresql'
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { aJob } from '../../test/a-job.ts'
import { saveLead } from '../../test/examples/save-lead.ts'
import { type Engine, functionOf, laneName, type StepDraft } from '../../test/engine.ts'
import { holdCommits } from '../../test/hold-commits.ts'
import { useEngine } from '../../test/use-engine.ts'
import { cancelRun, defineFunction, fail, type FunctionContext, type InOwnUnit, snooze } from '../index.ts'
import { markRunning } from '../job/mark-running.ts'

const program = fileURLToPath(new URL('../../test/save-worker.ts', import.meta.url))

let engine: Engine
let link: Proxy

useEngine((opened) => {
  engine = opened
})

beforeAll(async () => {
  link = await startProxy(engine.databaseUrl)
  await engine.query(`
    create table lead (id uuid primary key, email text not null unique);
    create table note (job uuid not null, text text not null unique deferrable initially deferred)`)
})

afterEach(async () => {
  link.resume()
  await engine.query('truncate lead, note')
})

afterAll(() => link.stop())

const ownFunction = (name: string, run: (context: FunctionContext<object, unknown> & InOwnUnit) => unknown) =>
  defineFunction({ name, config: z.looseObject({}), unit: 'own', run })

const note = (em: EntityManager, job: string, text: string) =>
  queryable(em).query('insert into note values ($1, $2)', [job, text])

const notes = async () =>
  z.array(z.object({ text: z.string() })).parse(await engine.query('select text from note order by text'))

const begin = async (functionName: string, payload: unknown = null, step: Partial<StepDraft> = {}) =>
  engine.begin(await engine.saveWorkflow({ functionName, outputType: 'single', ...step }), payload)

const jobOf = async (run: string) => {
  const [job] = await engine.jobs(run)
  if (job === undefined) throw new Error('the run has no job')
  return job
}

const leadsWorkflow = (functionName = 'Leads.save') =>
  engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName, outputType: 'single' },
    { functionName: 'next', outputType: null },
  )

test('the README shows the function that these tests run', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const example = await readFile(new URL('../../test/examples/save-lead.ts', import.meta.url), 'utf8')
  expect(readme).toContain(`\`\`\`ts\n// save-lead.ts\n${example}\`\`\``)
})

test('a row is written with its job, and one that the database refuses fails its own job alone', async () => {
  await engine.startWorker([saveLead, functionOf('next', () => null)])
  const emails = ['ana@example.com', 'bia@example.com', 'ana@example.com', 'caio@example.com']
  const run = await engine.begin(
    await leadsWorkflow(),
    emails.map((email) => ({ email })),
  )
  expect(await engine.over(run)).toBe('failed')
  const jobs = await engine.jobs(run)
  const saved = jobs.filter(({ step, status }) => step === 1 && status === 'succeeded')
  expect(saved).toHaveLength(3)
  expect(await engine.query('select id, email from lead order by id')).toEqual(
    saved.map(({ id, payload }) => ({ id, ...z.object({ email: z.string() }).parse(payload) })),
  )
  const passedOn = jobs.filter(({ step }) => step === 2).map(({ payload }) => payload)
  expect(passedOn).toHaveLength(3)
  expect(passedOn).toEqual(expect.arrayContaining(saved.map(({ id }) => ({ leadId: id }))))
  const [refused, ...others] = jobs.filter(({ status }) => status === 'failed')
  expect(others).toEqual([])
  expect(refused).toMatchObject({ attempt: 1, error: { code: 'write_refused' } })
  expect(refused?.error?.message).toContain('lead_email_key')
  expect(refused?.error?.message).not.toContain('ana@example.com')
  expect(await engine.attempts(refused?.id ?? '')).toMatchObject([{ outcome: 'failed', attempt: 1 }])
})

test('a function that goes on after a refused statement as if nothing were fails, with all that it wrote', async () => {
  await engine.startWorker([
    ownFunction('ignores', async ({ em, job }) => {
      await note(em, job.id, 'before')
      await em.execute('select 1 / 0').catch(() => null)
      return 'done'
    }),
  ])
  const run = await begin('ignores')
  expect(await engine.over(run)).toBe('failed')
  expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'output_rejected' } })
  expect((await jobOf(run)).error?.message).toContain('current transaction is aborted')
  expect(await notes()).toEqual([])
})

test('what a trigger of the function refuses at the commit fails its job', async () => {
  await engine.query(`
    create function refuse_note() returns trigger language plpgsql as $$
      begin raise exception 'no notes on Sundays'; end $$;
    create constraint trigger refuse_note after insert on note deferrable initially deferred
      for each row when (new.text = 'sunday') execute function refuse_note()`)
  await engine.startWorker([ownFunction('sunday', ({ em, job }) => note(em, job.id, 'sunday'))])
  const run = await begin('sunday', null, { outputType: null })
  expect(await engine.over(run)).toBe('failed')
  const message = 'the result cannot be stored: no notes on Sundays'
  expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'output_rejected', message } })
})

test('what is refused only at the commit fails its job as well, and keeps nothing of it', async () => {
  await engine.startWorker([ownFunction('deferred', ({ em, job }) => note(em, job.id, 'the same'))])
  expect(await engine.over(await begin('deferred', null, { outputType: null }))).toBe('succeeded')
  const run = await begin('deferred', null, { outputType: null })
  expect(await engine.over(run)).toBe('failed')
  expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'output_rejected' } })
  expect(await notes()).toHaveLength(1)
})

test('a worker that is killed after its commit and before its ack has written its row once', async () => {
  const held = await holdCommits(engine.em())
  onTestFinished(held.release)
  const child = spawn(process.execPath, [program, link.url, engine.rabbitmqUrl, laneName], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', (bytes) => (said += String(bytes)))
  await waitFor(() => said.includes('started'), { describe: 'the worker process', deadlineMs: 30_000 })
  const run = await begin('Leads.save', { email: 'killed@example.com' })
  await waitFor(held.isHolding)
  // From here on the worker hears nothing of Postgres, so it cannot ack.
  link.pause()
  await held.release()
  await waitFor(async () => (await jobOf(run)).status === 'succeeded')
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(said).toBe('started\n')

  const heir = await engine.startWorker([saveLead])
  await waitFor(() => heir.saw('delivery.dropped').length === 1)
  expect(heir.saw('delivery.dropped')).toMatchObject([{ functionName: 'Leads.save', reason: 'job is over' }])
  expect(await engine.query('select email from lead')).toEqual([{ email: 'killed@example.com' }])
})

test('a commit whose answer was lost is not done a second time', async () => {
  let calls = 0
  const worker = await engine.startWorker(
    [
      ownFunction('answer', async ({ em, job }) => {
        calls += 1
        await note(em, job.id, `call ${calls}`)
        return 'done'
      }),
    ],
    { databaseUrl: link.url },
  )
  const held = await holdCommits(engine.em())
  onTestFinished(held.release)
  const run = await begin('answer')
  await waitFor(held.isHolding)
  link.pause()
  await held.release()
  await waitFor(async () => (await jobOf(run)).status === 'succeeded')
  link.cut()
  await waitFor(() => worker.saw('database.unavailable').length > 0)
  link.resume()
  await waitFor(() => worker.saw('delivery.dropped').length === 1)
  expect(await notes()).toEqual([{ text: 'call 1' }])
  expect(calls).toBe(1)
})

test('nothing stays of an attempt that did not succeed, and its retry writes once', async () => {
  const ends = [
    () => {
      throw new Error('after all')
    },
    () => snooze(0, 'not now'),
    () => 'done',
  ]
  await engine.startWorker([
    ownFunction('retried', async ({ em, job }) => {
      await note(em, job.id, 'once')
      return ends.shift()?.()
    }),
    ownFunction('given-up', async ({ em, job }) => {
      await note(em, job.id, 'never')
      return fail('the account is closed')
    }),
  ])
  const run = await begin('retried', null, { retry: { delayMs: 0 } })
  expect(await engine.over(run)).toBe('succeeded')
  expect(await jobOf(run)).toMatchObject({ seq: 3, attempt: 2, output: 'done' })
  const outcomes = (await engine.attempts((await jobOf(run)).id)).map(({ outcome }) => outcome)
  expect(outcomes).toEqual(['retried', 'snoozed'])
  expect(await engine.over(await begin('given-up'))).toBe('failed')
  expect(await notes()).toEqual([{ text: 'once' }])
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

test('two deliveries of one job run it once: the second waits for the first', async () => {
  const gate = Promise.withResolvers<void>()
  let calls = 0
  const worker = await engine.startWorker([
    ownFunction('twice', async ({ em, job }) => {
      calls += 1
      await note(em, job.id, `call ${calls}`)
      await gate.promise
    }),
  ])
  const run = await begin('twice', null, { outputType: null })
  await waitFor(() => calls === 1)
  await engine.broker.publish('twice', { jobId: (await jobOf(run)).id, seq: 1 })
  await waitFor(async () => (await sessions(`wait_event_type = 'Lock'`)) === 1)
  gate.resolve()
  await waitFor(() => worker.saw('delivery.dropped').length === 1)
  expect(calls).toBe(1)
  expect(await engine.over(run)).toBe('succeeded')
  expect(await notes()).toHaveLength(1)
})

const sessions = async (condition: string): Promise<number> => {
  const rows = await engine.query(
    `select count(*)::int as count from pg_stat_activity
     where datname = current_database() and application_name = 'worker' and ${condition}`,
  )
  return z.tuple([z.object({ count: z.int() })]).parse(rows)[0].count
}

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

test('a function that commits by itself fails, and says what it may not do', async () => {
  await engine.startWorker([ownFunction('commits', ({ em }) => em.commit())])
  const run = await begin('commits', null, { outputType: null })
  expect(await engine.over(run)).toBe('failed')
  expect(await jobOf(run)).toMatchObject({ attempt: 1, error: { code: 'unit_left' } })
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

test('as many as there are sessions run at a time, and other functions are not held up by them', async () => {
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
    functionOf('next', () => null),
  ])
  const held = await engine.begin(await leadsWorkflow('holds'), Array.from({ length: 20 }))
  await waitFor(() => running === 8)
  const passes = await begin('passes')
  // From here on also the jobs that wait for a session are long ones.
  await waitFor(async () => (await jobOf(passes)).status === 'running')
  expect(running).toBe(8)
  gate.resolve()
  expect(await engine.over(passes)).toBe('succeeded')
  expect(await engine.over(held)).toBe('succeeded')
  expect(await notes()).toHaveLength(20)
})

test('a session that is lost under a function costs an attempt, and leaves nothing of it', async () => {
  let calls = 0
  await engine.startWorker([
    ownFunction('lost', async ({ em, job }) => {
      calls += 1
      await note(em, job.id, `call ${calls}`)
      if (calls === 1) await queryable(em).query('select pg_terminate_backend(pg_backend_pid())', [])
    }),
  ])
  const run = await begin('lost', null, { outputType: null, retry: { delayMs: 0 } })
  expect(await engine.over(run)).toBe('succeeded')
  expect(await jobOf(run)).toMatchObject({ attempt: 2 })
  expect(await notes()).toEqual([{ text: 'call 2' }])
})

test('a worker that stops in the middle of its statement leaves no session, and the next worker does the job', async () => {
  let calls = 0
  const fn = ownFunction('stopped', async ({ em, job }) => {
    calls += 1
    await note(em, job.id, `call ${calls}`)
    if (calls === 1) await queryable(em).query('select pg_sleep(60)', [])
    return 'done'
  })
  const worker = await engine.startWorker([fn], { graceMs: 0 })
  const run = await begin('stopped')
  await waitFor(async () => (await sessions(`query like '%pg_sleep%' and state = 'active'`)) === 1)
  const begun = performance.now()
  await worker.stop()
  expect(performance.now() - begun).toBeLessThan(10_000)
  await waitFor(async () => (await sessions('true')) === 0)
  await engine.startWorker([fn])
  expect(await engine.over(run)).toBe('succeeded')
  expect(await jobOf(run)).toMatchObject({ attempt: 1, seq: 1 })
  expect(await notes()).toEqual([{ text: 'call 2' }])
})
