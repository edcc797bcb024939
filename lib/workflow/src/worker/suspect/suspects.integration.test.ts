import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startProxy, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf, laneName } from '../../../test/engine.ts'
import { holdLocked, jobSql, waitForLocks } from '../../../test/hold-locked.ts'
import { ownFunction } from '../../../test/own-units.ts'
import { useEngine } from '../../../test/use-engine.ts'
import { cancelRun, defineFunction, fail, type StepFunction } from '../../index.ts'

const program = fileURLToPath(new URL('../../../test/poison-worker/main.ts', import.meta.url))

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const deadlineMs = 50_000
const timeout = 60_000

/** Starts a worker in this process whose wards are of the program that has functions of these names. */
const startWorker = (functions: readonly StepFunction[], { path = program, rabbitmqUrl = engine.rabbitmqUrl } = {}) =>
  engine.startWorker(functions, {
    rabbitmqUrl,
    pageItems: 10,
    ward: {
      program: {
        path,
        args: functions.map(({ name }) => name),
        execArgv: [],
        env: {
          DATABASE_URL: engine.databaseUrl,
          RABBITMQ_URL: engine.rabbitmqUrl,
          ESTEIRA_LANE: laneName,
        },
      },
      heapMiB: 96,
      mostMiB: 352,
      stallMs: 30_000,
    },
  })

/** What runs here in place of in a ward says so. */
const here = (name: string) => functionOf(name, () => 'here')

/** With the queue there, all messages are in it before anybody takes one. */
const declare = async (functionName: string) => (await engine.startWorker([here(functionName)])).stop()

/** Has all messages of a queue handed out, and back. */
const handOut = async (queue: string, messages: number) => {
  await waitFor(async () => (await engine.broker.count(queue)) === messages)
  await engine.broker.look(queue)
  await waitFor(async () => (await engine.broker.count(queue)) === messages)
}

/** A run with a job for each payload whose messages have been handed out twice before. */
const beginSuspects = async (
  functionName: string,
  payloads: readonly unknown[],
  next: readonly string[] = [],
  outputType: 'single' | 'multiple' = 'single',
) => {
  await declare(functionName)
  const run = await engine.begin(
    await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName, outputType },
      ...next.map((name) => ({ functionName: name, outputType: 'single' as const })),
    ),
    payloads,
  )
  await handOut(functionName, payloads.length)
  await handOut(functionName, payloads.length)
  return { run, jobs: async () => (await engine.jobs(run)).filter(({ step }) => step > 0) }
}

test(
  'what comes for the third time runs apart, and ends as it would have in the worker',
  async () => {
    const { run, jobs } = await beginSuspects('third', ['slow', { a: [1, null] }], ['third.next'])
    await startWorker([here('third'), functionOf('third.next', ({ payload }) => ({ came: payload }))])
    expect(await engine.over(run, deadlineMs)).toBe('succeeded')
    const ends = (await jobs()).map(({ step, payload, output }) => ({ step, payload, output }))
    expect(ends).toHaveLength(4)
    // The slow one may be the last of them.
    expect(ends).toEqual(
      expect.arrayContaining([
        { step: 1, payload: 'slow', output: null },
        { step: 1, payload: { a: [1, null] }, output: null },
        { step: 2, payload: 'apart', output: { came: 'apart' } },
        { step: 2, payload: { a: [1, null] }, output: { came: { a: [1, null] } } },
      ]),
    )
  },
  timeout,
)

test(
  'what comes for the second time does not, nor what a worker has no program for',
  async () => {
    const { run, jobs } = await beginSuspects('in place', ['slow'])
    await engine.startWorker([here('in place')])
    expect(await engine.over(run, deadlineMs)).toBe('succeeded')
    expect((await jobs())[0]?.output).toBe('here')
    await declare('second')
    const again = await engine.begin(
      await engine.saveWorkflow({ functionName: 'second', outputType: 'single' }),
      'slow',
    )
    await handOut('second', 1)
    await startWorker([here('second')])
    expect(await engine.over(again, deadlineMs)).toBe('succeeded')
    expect((await engine.jobs(again))[0]?.output).toBe('here')
  },
  timeout,
)

test(
  'a suspect hears of a cancel',
  async () => {
    const { run, jobs } = await beginSuspects('cancelled', ['slow'])
    await startWorker([here('cancelled')])
    await waitFor(async () => (await jobs())[0]?.status === 'running')
    await cancelRun(engine.em(), run)
    expect(await engine.over(run, deadlineMs)).toBe('cancelled')
    expect(await jobs()).toMatchObject([{ status: 'cancelled', output: null }])
  },
  timeout,
)

test(
  'a suspect that another worker took over is written by that alone',
  async () => {
    const link = await startProxy(engine.rabbitmqUrl)
    onTestFinished(() => link.stop())
    const { run, jobs } = await beginSuspects('taken', ['slow'])
    const loser = await startWorker([here('taken')], { rabbitmqUrl: link.url })
    await waitFor(async () => (await jobs())[0]?.status === 'running')
    link.cut()
    const heir = await engine.startWorker([functionOf('taken', () => 'by the heir')], { worker: 'heir' })
    expect(await engine.over(run, deadlineMs)).toBe('succeeded')
    expect(await jobs()).toMatchObject([{ output: 'by the heir', worker: 'heir', attempt: 1 }])
    await waitFor(() => loser.saw('delivery.dropped').length === 1, { deadlineMs, describe: () => loser.events })
    expect(loser.saw('job.written')).toEqual([])
    expect(heir.saw('delivery.dropped')).toEqual([])
  },
  timeout,
)

test(
  'when the worker stops, a suspect goes back and its process is gone',
  async () => {
    const { run, jobs } = await beginSuspects('stopped', ['slow'])
    const worker = await startWorker([here('stopped')])
    await waitFor(async () => (await jobs())[0]?.status === 'running')
    await worker.stop()
    expect(await jobs()).toMatchObject([{ status: 'running', attempt: 0, error: null }])
    await engine.startWorker([here('stopped')])
    expect(await engine.over(run, deadlineMs)).toBe('succeeded')
  },
  timeout,
)

test(
  'a program that cannot be started fails no job: its message goes back, and again',
  async () => {
    const { run, jobs } = await beginSuspects('no program', ['slow'])
    const worker = await startWorker([here('no program')], { path: '/dev/null' })
    await waitFor(() => worker.saw('delivery.handed-back').length >= 2, { deadlineMs })
    expect(worker.saw('delivery.handed-back')[0]).toMatchObject({
      error: { message: expect.stringContaining('the process for suspects could not be started') },
    })
    expect(await jobs()).toMatchObject([{ attempt: 0, error: null }])
    await worker.stop()
    await engine.startWorker([here('no program')])
    expect(await engine.over(run, deadlineMs)).toBe('succeeded')
  },
  timeout,
)

/** A suspect that gives 35 items, and behind the 31st waits until it may go on. */
const beginStream = async (name: string, rabbitmqUrl = engine.rabbitmqUrl) => {
  const folder = await mkdtemp(join(tmpdir(), 'esteira-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const until = join(folder, 'go')
  const { run, jobs } = await beginSuspects(name, [{ until }], [`${name}.next`], 'multiple')
  const inPlace = name.startsWith('pages') ? resumable(name) : here(name)
  const worker = await startWorker([inPlace, functionOf(`${name}.next`, () => undefined)], { rabbitmqUrl })
  const items = async () => (await jobs()).filter(({ step }) => step === 2)
  return { run, worker, jobs, items, goOn: () => writeFile(until, '') }
}

/** What runs here in place of in a ward fails. */
const resumable = (name: string) =>
  defineFunction({
    name,
    config: z.looseObject({}),
    cursor: z.int(),
    run: () => fail('it is not apart'),
  })

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

test(
  'pages of a suspect that have a cursor are there while it still runs apart, and each item once',
  async () => {
    const { run, jobs, items, goOn } = await beginStream('pages.apart')
    await waitFor(async () => (await items()).length >= 30, { deadlineMs, describe: jobs })
    expect((await jobs())[0]).toMatchObject({ step: 1, status: 'running' })
    await goOn()
    expect(await engine.over(run, deadlineMs)).toBe('succeeded')
    expect((await items()).map(({ itemIndex }) => itemIndex)).toEqual(numbers(35))
  },
  timeout,
)

test(
  'those of one without a cursor are written as they come too, and hidden until all are there',
  async () => {
    const { run, jobs, items, goOn } = await beginStream('items.apart')
    const hidden = async () => (await items()).filter(({ status }) => status === 'hidden')
    await waitFor(async () => (await hidden()).length === 30, { deadlineMs, describe: jobs })
    expect(await items()).toHaveLength(30)
    await goOn()
    expect(await engine.over(run, deadlineMs)).toBe('succeeded')
    expect((await items()).map(({ itemIndex, status }) => [itemIndex, status])).toEqual(
      numbers(35).map((index) => [index, 'succeeded']),
    )
  },
  timeout,
)

test(
  'a suspect that another worker took over writes no more pages',
  async () => {
    const link = await startProxy(engine.rabbitmqUrl)
    onTestFinished(() => link.stop())
    const { run, worker, jobs, items, goOn } = await beginStream('pages.taken', link.url)
    await waitFor(async () => (await items()).length >= 30, { deadlineMs, describe: jobs })
    link.cut()
    await engine.startWorker([resumable('pages.taken'), functionOf('pages.taken.next', () => undefined)])
    expect(await engine.over(run, deadlineMs)).toBe('failed')
    // The 31st, if it was old enough before the takeover.
    const written = await items()
    await goOn()
    await waitFor(() => worker.saw('delivery.dropped').length === 1, { deadlineMs, describe: () => worker.events })
    expect((await jobs())[0]).toMatchObject({ status: 'failed', error: { message: 'it is not apart' } })
    expect(await items()).toHaveLength(written.length)
  },
  timeout,
)

test(
  'a suspect that waits for its own row when its worker is asked to stop is put off at once, as a suspect',
  async () => {
    const name = 'own.held'
    const { run, jobs } = await beginSuspects(name, [{ until: program }], [`${name}.next`])
    const functions = [ownFunction(name, () => 'here'), here(`${name}.next`)]
    const { release } = await holdLocked(engine, jobSql, (await jobs())[0]?.id ?? '')
    const worker = await startWorker(functions)
    await waitFor(async () => (await waitForLocks(engine)) === 1, { deadlineMs })
    await worker.stop()
    expect(await waitForLocks(engine)).toBe(0)
    expect(worker.saw('delivery.dropped')).toMatchObject([{ reason: 'job is held locked' }])
    expect([...worker.saw('belt.fault'), ...worker.saw('delivery.handed-back')]).toEqual([])
    await release()
    await engine.query('update outbox_scheduled set available_at = now()')
    await startWorker(functions)
    expect(await engine.over(run, deadlineMs)).toBe('succeeded')
    // It is attempted in a process apart again.
    expect((await jobs()).at(-1)).toMatchObject({ payload: 'apart', attempt: 1 })
  },
  timeout,
)
