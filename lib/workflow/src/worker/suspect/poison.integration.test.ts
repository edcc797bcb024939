import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
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

const neighbours = (count: number) => Array.from({ length: count }, (_, index) => `innocent ${index}`)

/** Of the run's jobs, those whose payload is harm failed, saying how; all others succeeded, each with its own result. */
const expectGuilty = async (run: string, guilty: Record<string, string>) => {
  expect(await engine.over(run, deadlineMs)).toBe('failed')
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
    expect(await engine.over(good, deadlineMs)).toBe('succeeded')
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
    expect(await engine.over(run, deadlineMs)).toBe('succeeded')
    for (const { id, output } of await jobs()) {
      expect(output).toBe('apart')
      expect(await engine.attempts(id)).toMatchObject([{ outcome: 'lost', times: 3 }])
    }
    expect(worker.saw('ward.died')).toEqual([])
    expect(await worker.stop()).toBe(0)
  },
  timeout,
)
