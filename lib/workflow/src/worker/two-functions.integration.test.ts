import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, laneName } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'

let engine: Engine
useEngine((opened) => {
  engine = opened
})

const program = fileURLToPath(new URL('../../test/two-functions/main.ts', import.meta.url))

/** A process of `runWorker` with these functions. `end` kills it; `exited` has the code that it ends with by itself. */
const startProgram = (...functions: readonly ('hang' | 'quick')[]) => {
  const child = spawn(process.execPath, [program, ...functions], {
    env: {
      DATABASE_URL: engine.databaseUrl,
      RABBITMQ_URL: engine.rabbitmqUrl,
      ESTEIRA_LANE: laneName,
      ESTEIRA_PREFETCH: '50',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (bytes) => (said += String(bytes)))
  const exited = once(child, 'exit').then(() => child.exitCode)
  return {
    said: () => said,
    exited,
    end: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** How long the slowest one of 100 runs of one job took, that all began at once; by the database's clock. */
const p99 = async (workflow: Awaited<ReturnType<Engine['saveWorkflow']>>): Promise<number> => {
  const runs = await Promise.all(Array.from({ length: 100 }, () => engine.begin(workflow, null)))
  for (const run of runs) expect(await engine.over(run)).toBe('succeeded')
  const rows = await engine.query(
    `select (extract(epoch from percentile_disc(0.99) within group (order by finished_at - created_at)) * 1000)::float8 as ms
     from workflow_run where id = any($1)`,
    [runs],
  )
  return z.tuple([z.object({ ms: z.number() })]).parse(rows)[0].ms
}

/** Below this a longer time says more of the machine than of the worker. */
const noiseMs = 200

test('a function whose jobs hang, more of them than the worker holds, does not hold up another one of the process', async () => {
  const hang = await engine.saveWorkflow({ functionName: 'Two.hang', outputType: null })
  const quick = await engine.saveWorkflow({ functionName: 'Two.quick', outputType: 'single' })
  const worker = startProgram('hang', 'quick')
  try {
    await waitFor(() => worker.said().includes('"event":"ready"'), { describe: worker.said, deadlineMs: 20_000 })
    expect(worker.said()).toContain('"functions":["Two.hang","Two.quick"]')
    await p99(quick)
    const aloneMs = await p99(quick)
    const hanging = await Promise.all(Array.from({ length: 60 }, () => engine.begin(hang, null)))
    const running = async () =>
      (await engine.query(`select from workflow_job where run_id = any($1) and status = 'running'`, [hanging])).length
    await waitFor(async () => (await running()) === 50, { describe: running, deadlineMs: 20_000 })
    // Those jobs never end: held up, this would not be longer by some milliseconds, but would not come.
    expect(await p99(quick)).toBeLessThan(10 * Math.max(aloneMs, noiseMs))
    expect(await running()).toBe(50)
  } finally {
    await worker.end()
  }
}, 90_000)

test('a process with nothing to serve, or with two functions of one name, does not start', async () => {
  const [none, two] = [startProgram(), startProgram('quick', 'quick')]
  expect(await Promise.all([none.exited, two.exited])).toEqual([1, 1])
  expect(none.said()).not.toContain('"event":"ready"')
  expect(two.said()).not.toContain('"event":"ready"')
})
