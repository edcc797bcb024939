import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { queryable } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { beginCancel } from '../../run/cancel-run.ts'
import { type Engine, functionOf, laneName } from '../../../test/engine.ts'
import { holdCommits } from '../../../test/hold-commits.ts'
import { startProcess } from '../../../test/start-process.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { useLink } from '../../../test/use-link.ts'

const program = fileURLToPath(new URL('../../../test/split-worker.ts', import.meta.url))

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const broker = useLink(() => engine.rabbitmqUrl)
const database = useLink(() => engine.databaseUrl)

const next = (name: string) => functionOf(`${name}.next`, () => undefined)

const beginSplit = async (name: string, payload: unknown = null): Promise<string> => {
  const workflow = await engine.saveWorkflow(
    { functionName: name, outputType: 'multiple' },
    { functionName: `${name}.next`, outputType: null },
  )
  return engine.begin(workflow, payload)
}

const expectOneEffect = async (run: string) => {
  expect(await engine.over(run)).toBe('succeeded')
  expect((await engine.jobs(run)).map(({ step, payload, attempt }) => [step, payload, attempt])).toEqual([
    [0, expect.anything(), 1],
    [1, 'a', 1],
    [1, 'b', 1],
  ])
  expect(await engine.untrueCounters()).toEqual([])
}

/** A worker that is to lose its broker, and what its function saw; it ends when `go` is called. */
const startLoser = async (name: string) => {
  const gate = Promise.withResolvers<void>()
  const signals: AbortSignal[] = []
  const fn = functionOf(name, async ({ signal }) => {
    signals.push(signal)
    await gate.promise
    return ['a', 'b']
  })
  const worker = await engine.startWorker([fn], { worker: 'loser', rabbitmqUrl: broker().url })
  return { ...worker, signals, go: gate.resolve }
}

test('a job whose worker lost its broker is taken over, and the two commit it once', async () => {
  const loser = await startLoser('lost')
  const run = await beginSplit('lost', 'work')
  await waitFor(() => loser.signals.length === 1)
  const gate = Promise.withResolvers<void>()
  let takenOver = false
  await engine.startWorker(
    [
      functionOf('lost', async () => {
        takenOver = true
        await gate.promise
        return ['a', 'b']
      }),
      next('lost'),
    ],
    { worker: 'heir' },
  )
  broker().cut()
  await waitFor(() => takenOver)
  loser.go()
  await waitFor(() => loser.saw('delivery.dropped').length === 1)
  expect(loser.saw('delivery.dropped')).toMatchObject([{ reason: 'held by another' }])
  expect(await engine.jobs(run)).toMatchObject([{ status: 'running', worker: 'heir', claim: expect.any(String) }])
  gate.resolve()
  await expectOneEffect(run)
  expect((await engine.jobs(run))[0]).toMatchObject({ worker: 'heir', claim: null })
  expect(loser.saw('belt.lost').length).toBeGreaterThan(0)
})

test('a long function is aborted when its job was taken over, and its worker comes back to work', async () => {
  const loser = await startLoser('aborted')
  const run = await beginSplit('aborted', 'work')
  await waitFor(() => loser.signals.length === 1)
  broker().cut()
  const heir = await engine.startWorker([functionOf('aborted', () => ['a', 'b']), next('aborted')], { worker: 'heir' })
  await expectOneEffect(run)
  await waitFor(() => loser.signals[0]?.aborted)
  expect(loser.signals[0]?.reason).toMatchObject({ message: 'another worker has taken the job over' })
  await heir.stop()

  broker().resume()
  await waitFor(() => loser.saw('belt.back').length > 0)
  loser.go()
  await engine.startWorker([next('aborted')])
  await expectOneEffect(await beginSplit('aborted', 'work'))
  expect(loser.signals).toHaveLength(2)
})

test('a worker stops although its broker is away and its jobs have been taken over', async () => {
  const loser = await startLoser('away')
  const run = await beginSplit('away', 'work')
  await waitFor(() => loser.signals.length === 1)
  broker().cut()
  await engine.startWorker([functionOf('away', () => ['a', 'b']), next('away')])
  await expectOneEffect(run)
  await loser.stop()
  loser.go()
})

/** A worker process behind the proxies. */
const startWorkerProcess = (name: string) => startProcess(program, [database().url, broker().url, laneName, name])

test('a worker that is killed while its function runs loses nothing: the next one runs it', async () => {
  const killed = await startWorkerProcess('killed')
  const run = await beginSplit('killed', 'hang')
  await waitFor(async () => (await engine.jobs(run))[0]?.status === 'running')
  const heir = await engine.startWorker([functionOf('killed', () => ['a', 'b']), next('killed')], { worker: 'heir' })
  await killed.kill()
  await expectOneEffect(run)
  const [job] = await engine.jobs(run)
  expect(job).toMatchObject({ worker: 'heir' })
  expect(await engine.attempts(job?.id ?? '')).toMatchObject([
    { outcome: 'lost', attempt: 1, times: 1, worker: 'to be killed' },
  ])
  expect(heir.saw('delivery.dropped')).toEqual([])
})

test('a message that came again takes its job also from who has marked that since it was found, and is dead', async () => {
  const killed = await startWorkerProcess('marked')
  const run = await beginSplit('marked', 'hang')
  await waitFor(async () => (await engine.jobs(run))[0]?.status === 'running')
  const marking = engine.em()
  await marking.begin()
  await queryable(marking).query('update workflow_job set claim = $2 where run_id = $1', [run, randomUUID()])
  await engine.startWorker([functionOf('marked', () => ['a', 'b']), next('marked')], { worker: 'heir' })
  await killed.kill()
  await waitFor(async () => (await engine.query(waitingHeirSql)).length === 1)
  await marking.commit()
  await expectOneEffect(run)
})

test('one of a run that is being cancelled ends its job also when that was marked since, by who is dead', async () => {
  const killed = await startWorkerProcess('unmarked')
  const run = await beginSplit('unmarked', 'hang')
  await waitFor(async () => (await engine.jobs(run))[0]?.status === 'running')
  const marking = engine.em()
  await marking.begin()
  await queryable(marking).query('update workflow_job set claim = $2 where run_id = $1', [run, randomUUID()])
  expect(await beginCancel(engine.em(), run)).toBe('cancelling')
  const heir = await engine.startWorker([functionOf('unmarked', () => ['a', 'b'])], { worker: 'heir' })
  await killed.kill()
  const isWaiting = async () =>
    heir.saw('commit.held-up').length > 0 || (await engine.query(waitingHeirSql)).length === 1
  await waitFor(isWaiting)
  await marking.commit()
  expect(await engine.over(run)).toBe('cancelled')
  expect(heir.saw('delivery.dropped')).toEqual([])
})

const waitingHeirSql = `
  select from pg_stat_activity
  where datname = current_database() and application_name = 'heir' and wait_event_type = 'Lock'`

test('a worker that is killed after its commit and before its ack has done its job once', async () => {
  const held = await holdCommits(engine.em())
  onTestFinished(held.release)
  const killed = await startWorkerProcess('committed')
  const run = await beginSplit('committed', 'work')
  await waitFor(held.isHolding)
  // From here on the worker hears nothing of Postgres, so it cannot ack.
  database().pause()
  await held.release()
  await waitFor(async () => (await engine.jobs(run))[0]?.status === 'succeeded')
  await killed.kill()
  expect(killed.said()).toBe('started\n')

  let calls = 0
  const heir = await engine.startWorker([
    functionOf('committed', () => {
      calls += 1
      return ['a', 'b']
    }),
    next('committed'),
  ])
  await waitFor(() => heir.saw('delivery.dropped').length === 1)
  expect(heir.saw('delivery.dropped')).toMatchObject([{ functionName: 'committed', reason: 'job is over' }])
  await expectOneEffect(run)
  expect(calls).toBe(0)
  await heir.stop()
  expect(await engine.broker.count('committed')).toBe(0)
})

test.each([
  { outcome: 'retry', how: 'by a message for later', attempt: 2 },
  { outcome: 'snooze', how: 'by a message at once', attempt: 1 },
])(
  'a worker that is killed after it put its job off $how, and before its ack, leaves one message that counts',
  async ({ outcome, attempt }) => {
    const held = await holdCommits(engine.em(), 'new.seq > old.seq')
    onTestFinished(held.release)
    const killed = await startWorkerProcess(outcome)
    const run = await beginSplit(outcome, outcome)
    await waitFor(held.isHolding)
    database().pause()
    await held.release()
    await waitFor(async () => (await engine.jobs(run))[0]?.seq === 2)
    await killed.kill()
    expect(killed.said()).toBe('started\n')
    const [job] = await engine.jobs(run)
    expect(job).toMatchObject({ status: 'queued', claim: null, attempt: attempt - 1 })
    // That of the first try, which nobody acked, and that of the next.
    const messages = () => engine.broker.look(outcome)
    await waitFor(async () => (await messages()).length === 2, { deadlineMs: 20_000, describe: messages })
    expect(await messages()).toEqual(expect.arrayContaining([1, 2].map((seq) => ({ jobId: job?.id, seq }))))

    const attempts: number[] = []
    const heir = await engine.startWorker([
      functionOf(outcome, (context) => {
        attempts.push(context.attempt)
        return ['a', 'b']
      }),
      next(outcome),
    ])
    expect(await engine.over(run)).toBe('succeeded')
    await waitFor(() => heir.saw('delivery.dropped').length === 1)
    expect(heir.saw('delivery.dropped')).toMatchObject([{ functionName: outcome, reason: 'older message' }])
    expect(attempts).toEqual([attempt])
    expect((await engine.jobs(run)).map(({ step, seq, payload }) => [step, seq, payload])).toEqual([
      [0, 2, outcome],
      [1, 1, 'a'],
      [1, 1, 'b'],
    ])
    await heir.stop()
    expect(await engine.broker.count(outcome)).toBe(0)
  },
)
