import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import type { Engine } from '../../../test/engine.ts'
import { keepWorker } from '../../../test/keep-worker.ts'
import { useEngine } from '../../../test/use-engine.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** Starts take their time on a machine that is busy. */
const deadlineMs = 400_000
const timeout = 440_000

const env = { ESTEIRA_SUSPECT_HEAP_MIB: '96' }

/** A run with one job of the function for each payload. */
const begin = async (functionName: string, payloads: readonly unknown[]): Promise<string> =>
  engine.begin(
    await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName, outputType: 'single', timeoutMs: 600_000 },
    ),
    payloads,
  )

const over = async (run: string): Promise<string> =>
  waitFor(
    async () => {
      const status = await engine.statusOf(run)
      return status !== 'running' && status
    },
    { deadlineMs, describe: async () => (await engine.jobs(run)).filter(({ status }) => status !== 'succeeded') },
  )

const neighbours = (count: number) => Array.from({ length: count }, (_, index) => `innocent ${index}`)

/** Of the run's jobs, those whose payload is harm failed, saying how; all others succeeded, each with its own result. */
const expectGuilty = async (run: string, guilty: Record<string, string>) => {
  expect(await over(run)).toBe('failed')
  const jobs = (await engine.jobs(run)).filter(({ step }) => step === 1)
  for (const { id, payload, status, output, error } of jobs) {
    const how = guilty[String(payload)]
    if (how === undefined) {
      expect({ payload, status, output }).toEqual({ payload, status: 'succeeded', output: payload })
      continue
    }
    expect({ payload, status }).toEqual({ payload, status: 'failed' })
    expect(error).toMatchObject({
      code: 'process_died',
      message: expect.stringMatching(`^the process in which it ran alone died: ${how}`),
    })
    const attempts = await engine.attempts(id)
    expect(attempts.at(-1)).toMatchObject({ outcome: 'failed', attempt: 1, error })
    expect(attempts.slice(0, -1).every(({ outcome }) => outcome === 'lost')).toBe(true)
  }
}

test(
  'jobs that kill their process by exit, abort or memory fail and say so; a hundred neighbours succeed',
  async () => {
    const payloads = neighbours(120).with(20, 'exit').with(40, 'abort').with(60, 'memory')
    const run = await begin('poison', payloads)
    const worker = keepWorker(engine, ['poison'], env)
    await expectGuilty(run, {
      exit: 'it ended with exit code 7$',
      abort: 'it was ended by SIGABRT$',
      memory: 'it ran out of memory$',
    })
    // Each had two processes of the worker at most, and most of them together.
    expect(worker.deaths.length).toBeLessThanOrEqual(6)
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)

test(
  'an endless loop is ended, in the worker and apart, and fails and says so; a hundred neighbours succeed',
  async () => {
    const run = await begin('loop', neighbours(120).with(40, 'loop'))
    const worker = keepWorker(engine, ['loop'], { ...env, ESTEIRA_STALL_MS: '4000' })
    await expectGuilty(run, { loop: 'its event loop stood still for 4000 ms' })
    expect(worker.deaths).toEqual(['SIGKILL', 'SIGKILL'])
    expect(worker.saw('worker.stalled')).toHaveLength(2)
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)

test(
  'of several functions of one worker, one with a unit of its own, each suffers from its own poison alone',
  async () => {
    const names = ['several.one', 'own.several', 'several.two']
    const harms = ['uncaught', 'abort', 'buffers']
    const runs = await Promise.all(names.map((name, index) => begin(name, neighbours(60).with(20, harms[index] ?? ''))))
    const worker = keepWorker(engine, [...names, 'several.good'], env)
    const good = await begin('several.good', neighbours(100))
    const [one = '', own = '', two = ''] = runs
    await expectGuilty(one, {
      uncaught: 'it ended with exit code 1, for an error that nobody caught \\(TypeError\\)$',
    })
    await expectGuilty(own, { abort: 'it was ended by SIGABRT$' })
    await expectGuilty(two, { buffers: 'it took more than 352 MiB of memory' })
    expect(await over(good)).toBe('succeeded')
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)

test(
  'a worker that is killed three times over makes suspects of what it had in hand, and fails none of it',
  async () => {
    const name = 'killed'
    const folder = await mkdtemp(join(tmpdir(), 'esteira-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const until = join(folder, 'go')
    const run = await begin(
      name,
      Array.from({ length: 30 }, () => ({ until })),
    )
    const jobs = async () => (await engine.jobs(run)).filter(({ step }) => step === 1)
    const worker = keepWorker(engine, [name], env)
    let seen = new Set<string | null>([null])
    for (let kills = 1; kills <= 3; kills += 1) {
      // Each process takes all of them over: under claims of its own.
      await waitFor(async () => (await jobs()).every(({ claim }) => !seen.has(claim)), {
        deadlineMs,
        describe: async () => [worker.deaths, await jobs()],
      })
      seen = new Set((await jobs()).map(({ claim }) => claim))
      worker.kill('SIGKILL')
      await waitFor(() => worker.deaths.length === kills, { deadlineMs })
    }
    await writeFile(until, '')
    expect(await over(run)).toBe('succeeded')
    for (const { id, output } of await jobs()) {
      expect(output).toBe('apart')
      expect(await engine.attempts(id)).toMatchObject([{ outcome: 'lost', times: 3 }])
    }
    expect(worker.saw('ward.died')).toEqual([])
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)

/** A run with a job for each payload that gives very many items, each of which is a job of the next step. */
const beginStreams = async (functionName: string, payloads: readonly string[]): Promise<string> =>
  engine.begin(
    await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName, outputType: 'multiple', timeoutMs: 600_000 },
      { functionName: 'next', outputType: null },
    ),
    payloads,
  )

/** The jobs of a run that give items, with what is there of those: which they are, and how they stand. */
const streamsOf = async (run: string) =>
  streamRows.parse(
    await engine.query(
      `select parent.id, parent.payload, parent.status, parent.error, parent.emitted,
              coalesce(jsonb_agg(split_part(item.payload #>> '{}', ' ', 1)::int order by item.item_index)
                         filter (where item.id is not null), '[]') as items,
              count(item.id) filter (where item.status <> 'succeeded')::int as open
       from workflow_job parent
       left join workflow_job item on item.parent_id = parent.id and item.status <> 'hidden'
       where parent.run_id = $1
         and parent.parent_id = (select id from workflow_job where run_id = $1 and parent_id is null)
       group by parent.id`,
      [run],
    ),
  )

const streamRows = z.array(
  z.object({
    id: z.string(),
    payload: z.string(),
    status: z.string(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    emitted: z.int(),
    items: z.array(z.int()),
    open: z.int(),
  }),
)

const firstItems = (count: number): number[] => Array.from({ length: count }, (_, item) => item)

/**
 * Of the run's jobs that give items those whose payload is harm failed, saying how; what they had given in whole pages
 * that go on is there, in order, once, and has been done. All others gave everything.
 */
const expectGuiltyStreams = async (run: string, guilty: Record<string, string>) => {
  expect(await over(run)).toBe('failed')
  for (const { id, payload, status, error, emitted, items, open } of await streamsOf(run)) {
    const how = guilty[payload]
    expect({ payload, status, open }).toEqual({ payload, status: how === undefined ? 'succeeded' : 'failed', open: 0 })
    expect(items).toEqual(firstItems(emitted))
    if (how === undefined) {
      expect(emitted).toBe(35)
      continue
    }
    expect(error).toMatchObject({
      code: 'process_died',
      message: expect.stringMatching(`^the process in which it ran alone died: ${how}`),
    })
    const attempts = await engine.attempts(id)
    expect(attempts.at(-1)).toMatchObject({ outcome: 'failed', error })
    expect(attempts.slice(0, -1).every(({ outcome }) => outcome === 'lost')).toBe(true)
  }
}

/** How many items are there of a job that failed. */
const givenBy = async (run: string, payload: string) =>
  (await streamsOf(run)).find((stream) => stream.payload === payload)?.emitted

test(
  'jobs that kill their process behind their first page fail and say so; their pages stay, and neighbours give all',
  async () => {
    const pages = await beginStreams('pages', ['good', 'exit', 'memory', 'well'])
    const items = await beginStreams('items', ['good', 'abort', 'well'])
    const worker = keepWorker(engine, ['pages', 'items', 'next'], env)
    await expectGuiltyStreams(pages, { exit: 'it ended with exit code 7$', memory: 'it ran out of memory$' })
    // Two pages are written before the third is full, and that may be on its way.
    expect([20, 30]).toContain(await givenBy(pages, 'exit'))
    expect([20, 30]).toContain(await givenBy(pages, 'memory'))
    await expectGuiltyStreams(items, { abort: 'it was ended by SIGABRT$' })
    expect(await givenBy(items, 'abort')).toBe(0)
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)

test(
  'an endless loop behind the first page is ended, and fails and says so; neighbours give all',
  async () => {
    const pages = await beginStreams('pages.loop', ['good', 'loop'])
    const items = await beginStreams('items.loop', ['loop', 'good'])
    const worker = keepWorker(engine, ['pages.loop', 'items.loop', 'next'], { ...env, ESTEIRA_STALL_MS: '4000' })
    await expectGuiltyStreams(pages, { loop: 'its event loop stood still for 4000 ms' })
    expect([20, 30]).toContain(await givenBy(pages, 'loop'))
    await expectGuiltyStreams(items, { loop: 'its event loop stood still for 4000 ms' })
    expect(await givenBy(items, 'loop')).toBe(0)
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)
