import { runOn, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { type Engine, functionOf } from '../../test/engine.ts'
import { holdCommits } from '../../test/hold-commits.ts'
import { useEngine } from '../../test/use-engine.ts'
import { useLink } from '../../test/use-link.ts'
import { silentLog } from '../../test/worker-options.ts'
import type { WorkerEvent } from './worker-options.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const link = useLink(() => engine.databaseUrl)

/** A worker whose way to Postgres can break, with a function that gives two items when `go` is called. */
const startSplit = async (name: string) => {
  const gate = Promise.withResolvers<void>()
  let calls = 0
  const split = functionOf(name, async () => {
    calls += 1
    await gate.promise
    return ['a', 'b']
  })
  const worker = await engine.startWorker([split, functionOf(`${name}.next`, () => undefined)], {
    worker: name,
    databaseUrl: link().url,
  })
  const workflow = await engine.saveWorkflow(
    { functionName: name, outputType: 'multiple' },
    { functionName: `${name}.next`, outputType: null },
  )
  const run = await engine.begin(workflow, null)
  await waitFor(() => calls === 1)
  return { ...worker, run, go: gate.resolve, calls: () => calls }
}

type Split = Awaited<ReturnType<typeof startSplit>>

const expectOneEffect = async ({ run, calls, saw, stop }: Split, name: string) => {
  expect(await engine.over(run)).toBe('succeeded')
  expect((await engine.jobs(run)).map(({ step, payload, attempt }) => [step, payload, attempt])).toEqual([
    [0, null, 1],
    [1, 'a', 1],
    [1, 'b', 1],
  ])
  expect(await engine.untrueCounters()).toEqual([])
  expect(calls()).toBe(1)
  expect(saw('delivery.handed-back')).toEqual([])
  await stop()
  expect(await engine.broker.count(name)).toBe(0)
  await waitFor(async () => (await engine.outboxRows()) === 0)
}

/** Ends every session that a worker has, as an administrator or a failover would. */
const endSessions = (worker: string) =>
  engine.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = $1`,
    [worker],
  )

test('while Postgres is away nothing is acked, and when it is back the job is written, not run again', async () => {
  const split = await startSplit('away')
  link().cut()
  split.go()
  await waitFor(() => split.saw('database.unavailable').length >= 2)
  expect(split.saw('job.written')).toEqual([])
  expect(await engine.jobs(split.run)).toMatchObject([{ status: 'queued', seq: 1 }])
  link().resume()
  await expectOneEffect(split, 'away')
})

test('sessions that Postgres ends before the commit are opened again', async () => {
  const split = await startSplit('ended')
  expect(await endSessions('ended')).not.toEqual([])
  split.go()
  await expectOneEffect(split, 'ended')
})

test('a unit of work that Postgres ends in the middle is written again as a whole', async () => {
  const split = await startSplit('middle')
  const held = await holdCommits(engine.em())
  onTestFinished(held.release)
  split.go()
  await waitFor(held.isHolding)
  expect(await endSessions('middle')).not.toEqual([])
  await waitFor(() => split.saw('database.unavailable').length === 1)
  expect(await engine.jobs(split.run)).toMatchObject([{ status: 'queued' }])
  await held.release()
  await expectOneEffect(split, 'middle')
})

test('a server that takes no writes is waited for, and left: what was called is written, and not called again', async () => {
  const split = await startSplit('standby')
  onTestFinished(() => takeWrites(true))
  await takeWrites(false)
  expect(await endSessions('standby')).not.toEqual([])
  split.go()
  await waitFor(() => split.saw('database.unavailable').filter(isReadOnly).length >= 2)
  expect(await engine.jobs(split.run)).toMatchObject([{ status: 'queued', seq: 1 }])
  // Nobody ends the sessions that were begun meanwhile: those of a standby do not end by themselves either.
  await takeWrites(true)
  await expectOneEffect(split, 'standby')
  expect(split.saw('commit.refused')).toEqual([])
})

/** Whether sessions that are begun from now on may write. */
const takeWrites = async (isTaken: boolean): Promise<void> => {
  const name = new URL(engine.databaseUrl).pathname.slice(1)
  const change = `alter database "${name}" set default_transaction_read_only = ${isTaken ? 'off' : 'on'}`
  await runOn(engine.databaseUrl, 'set default_transaction_read_only = off', change)
}

const isReadOnly = (event: WorkerEvent): boolean =>
  event.kind === 'database.unavailable' && event.reason.includes('read-only')

test('a commit whose answer was lost is not done a second time', async () => {
  const split = await startSplit('answer')
  const held = await holdCommits(engine.em())
  onTestFinished(held.release)
  split.go()
  await waitFor(held.isHolding)
  link().pause()
  await held.release()
  await waitFor(async () => (await engine.jobs(split.run))[0]?.status === 'succeeded')
  link().cut()
  await waitFor(() => split.saw('database.unavailable').length > 0)
  link().resume()
  await waitFor(() => split.saw('delivery.dropped').length === 1)
  expect(split.saw('delivery.dropped')).toMatchObject([{ functionName: 'answer', reason: 'job is over' }])
  await expectOneEffect(split, 'answer')
})

test('a message that comes while Postgres is away waits for it', async () => {
  const calls: unknown[] = []
  const worker = await engine.startWorker([functionOf('later', ({ payload }) => calls.push(payload))], {
    databaseUrl: link().url,
  })
  const workflow = await engine.saveWorkflow({ functionName: 'later', outputType: null })
  link().cut()
  const run = await engine.begin(workflow, 'work')
  await waitFor(() => worker.saw('database.unavailable').length > 0)
  expect(calls).toEqual([])
  link().resume()
  expect(await engine.over(run)).toBe('succeeded')
  expect(calls).toEqual(['work'])
})

test('a start that waits for Postgres or RabbitMQ says where it looks, without the password, and can be ended', async () => {
  for (const away of ['databaseUrl', 'rabbitmqUrl'] as const) {
    const lines: unknown[] = []
    const ending = new AbortController()
    const url = new URL(engine[away])
    url.port = '9'
    const started = engine.startWorker([functionOf('never', () => undefined)], {
      [away]: url.href,
      signal: ending.signal,
      log: { ...silentLog, warn: (line) => lines.push(line) },
    })
    await waitFor(() => lines.length > 0)
    expect(lines[0]).toMatchObject({ event: 'service.unavailable', address: expect.stringContaining('127.0.0.1:9') })
    expect(JSON.stringify(lines)).not.toContain(url.password)
    ending.abort(new Error('enough'))
    await expect(started).rejects.toThrow('enough')
  }
})

test('a start that waits for a Postgres that says nothing can be ended at once', async () => {
  link().pause()
  const before = link().connections()
  const ending = new AbortController()
  const started = engine.startWorker([functionOf('never', () => undefined)], {
    databaseUrl: link().url,
    signal: ending.signal,
  })
  await waitFor(() => link().connections() > before)
  const begun = performance.now()
  ending.abort(new Error('enough'))
  await expect(started).rejects.toThrow('enough')
  expect(performance.now() - begun).toBeLessThan(2_000)
})
