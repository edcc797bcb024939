import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { saveLead } from '../../../test/examples/save-lead.ts'
import { type Engine, laneName } from '../../../test/engine.ts'
import { holdCommits } from '../../../test/hold-commits.ts'
import { note, ownFunction, useOwnUnits } from '../../../test/own-units.ts'
import { useLink } from '../../../test/use-link.ts'

const program = fileURLToPath(new URL('../../../test/save-worker.ts', import.meta.url))

let engine: Engine

const { begin, jobOf, notes, sessions } = useOwnUnits((opened) => {
  engine = opened
})

const link = useLink(() => engine.databaseUrl)

test('a worker that is killed after its commit and before its ack has written its row once', async () => {
  const held = await holdCommits(engine.em())
  onTestFinished(held.release)
  const child = spawn(process.execPath, [program, link().url, engine.rabbitmqUrl, laneName], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', (bytes) => (said += String(bytes)))
  await waitFor(() => said.includes('started'), { describe: 'the worker process', deadlineMs: 30_000 })
  const run = await begin('Leads.save', { email: 'killed@example.com' })
  await waitFor(held.isHolding)
  // From here on the worker hears nothing of Postgres, so it cannot ack.
  link().pause()
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
    { databaseUrl: link().url },
  )
  const held = await holdCommits(engine.em())
  onTestFinished(held.release)
  const run = await begin('answer')
  await waitFor(held.isHolding)
  link().pause()
  await held.release()
  await waitFor(async () => (await jobOf(run)).status === 'succeeded')
  link().cut()
  await waitFor(() => worker.saw('database.unavailable').length > 0)
  link().resume()
  await waitFor(() => worker.saw('delivery.dropped').length === 1)
  expect(await notes()).toEqual([{ text: 'call 1' }])
  expect(calls).toBe(1)
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

/** What may happen to the session of a function, and to all others. */
const losses = {
  'is ended by an administrator': () => engine.query(endSessionsSql),
  'falls with the server': async () => {
    link().cut()
    await engine.query(endSessionsSql)
    link().resume()
  },
}

const endSessionsSql = `
  select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and application_name = 'worker'`

for (const [how, lose] of Object.entries(losses)) {
  for (const isHeard of [true, false]) {
    const kind = isHeard ? 'hears of it' : 'goes on as if nothing were'
    test(`a function whose session ${how}, and that ${kind}, is called again, which is no attempt`, async () => {
      let calls = 0
      await engine.startWorker(
        [
          ownFunction('lost', async ({ em, job }) => {
            calls += 1
            await note(em, job.id, `call ${calls}`)
            if (calls > 1) return
            await lose()
            const again = note(em, job.id, 'never')
            if (isHeard) await again
            else await again.catch(() => null)
          }),
        ],
        { databaseUrl: link().url },
      )
      const run = await begin('lost', null, { outputType: null, retry: { maxAttempts: 1 } })
      expect(await engine.over(run)).toBe('succeeded')
      expect(await jobOf(run)).toMatchObject({ attempt: 1 })
      expect(await engine.attempts((await jobOf(run)).id)).toEqual([])
      expect(await notes()).toEqual([{ text: 'call 2' }])
    })
  }
}

test('a function whose time is up since Postgres says nothing any more is called again, which is no attempt', async () => {
  let calls = 0
  const worker = await engine.startWorker(
    [
      ownFunction('silent', async ({ em, job, signal }) => {
        calls += 1
        await note(em, job.id, `call ${calls}`)
        if (calls > 1) return
        // It hears nothing, and when it is over nobody can be asked to end its session.
        link().pause()
        signal.addEventListener('abort', link().cut)
        await note(em, job.id, 'never')
      }),
    ],
    { databaseUrl: link().url },
  )
  const run = await begin('silent', null, { outputType: null, timeoutMs: 300, retry: { maxAttempts: 1 } })
  await waitFor(() => worker.saw('database.unavailable').length > 0)
  link().resume()
  expect(await engine.over(run)).toBe('succeeded')
  expect(await jobOf(run)).toMatchObject({ attempt: 1 })
  expect(await engine.attempts((await jobOf(run)).id)).toEqual([])
  expect(await notes()).toEqual([{ text: `call ${calls}` }])
})

test('a function that ends its session each time has had its attempts, of three calls each', async () => {
  let calls = 0
  await engine.startWorker([
    ownFunction('ends', async ({ em, job }) => {
      calls += 1
      await note(em, job.id, `call ${calls}`)
      await queryable(em)
        .query('select pg_terminate_backend(pg_backend_pid())', [])
        .catch(() => null)
    }),
  ])
  const run = await begin('ends', null, { outputType: null, retry: { maxAttempts: 2, delayMs: 0 } })
  expect(await engine.over(run)).toBe('failed')
  expect(await jobOf(run)).toMatchObject({ attempt: 2, error: { code: 'write_cut_short' } })
  expect(calls).toBe(6)
  expect(await notes()).toEqual([])
})

test('a function that ends its session by what it writes, at the commit, has had its attempts as well, and says so', async () => {
  await engine.query(`
    create function end_session() returns trigger language plpgsql as $$
      begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
    create constraint trigger end_session after insert on note deferrable initially deferred
      for each row when (new.text = 'deadly') execute function end_session()`)
  let calls = 0
  await engine.startWorker([
    ownFunction('ends at the commit', async ({ em, job }) => {
      calls += 1
      await note(em, job.id, 'deadly')
    }),
  ])
  const run = await begin('ends at the commit', null, { outputType: null, retry: { maxAttempts: 2, delayMs: 0 } })
  expect(await engine.over(run)).toBe('failed')
  const message = 'the database gave up writing the result: terminating connection due to administrator command'
  expect(await jobOf(run)).toMatchObject({ attempt: 2, error: { code: 'write_cut_short', message } })
  expect(calls).toBe(6)
  expect(await notes()).toEqual([])
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
