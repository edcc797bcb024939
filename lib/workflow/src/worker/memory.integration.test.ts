import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { type Engine, functionOf, laneName } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'

const program = fileURLToPath(new URL('../../test/large-worker.ts', import.meta.url))

/** Jobs with a payload, and a result, of a million bytes each. */
const jobs = 110
const prefetch = 100
const payloadBytes = 1_000_000

/** A heap that is free to grow is collected late. With this one a worker that keeps too much ends. */
const heapMiB = 160

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** Starts the worker; gives the most memory that it has had so far, MiB, a job it wrote. */
const startWorker = (functionName: string): number[] => {
  const child = spawn(
    process.execPath,
    [
      `--max-old-space-size=${heapMiB}`,
      program,
      engine.databaseUrl,
      engine.rabbitmqUrl,
      laneName,
      functionName,
      String(prefetch),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const peaksMiB: number[] = []
  createInterface(child.stdout).on('line', (line) => peaksMiB.push(Number(line)))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  return peaksMiB
}

/**
 * Payloads by what they are made of, as SQL, and how many different ones there are. In memory the second has ten times its
 * text.
 */
const payloads: readonly [string, string, number][] = [
  ['one text', `to_jsonb(repeat(chr(97 + item_index % 26), ${payloadBytes - 2}))`, 26],
  ['many small values', `(select jsonb_agg(jsonb_build_array()) from generate_series(1, ${payloadBytes / 4}))`, 1],
]

test.each(payloads)(
  'memory is bounded with large payloads, however many deliveries are in hand: %s each',
  async (what, payload, outputs) => {
    const name = what.replaceAll(' ', '-')
    // Declares the queue, so that all messages are in it before anybody takes one.
    const declaring = await engine.startWorker([functionOf(name, () => undefined)])
    await declaring.stop()
    const run = await engine.begin(
      await engine.saveWorkflow(
        { functionName: 'CronJob', outputType: 'multiple' },
        { functionName: name, outputType: 'single' },
      ),
      Array.from({ length: jobs }, (_, index) => index),
    )
    await engine.query(`update workflow_job set payload = ${payload} where run_id = $1 and status = 'queued'`, [run])
    await waitFor(async () => (await engine.broker.count(name)) === jobs)
    const peaksMiB = startWorker(name)
    await waitFor(() => peaksMiB.length === jobs, { deadlineMs: 240_000, describe: () => peaksMiB.at(-1) })
    expect(peaksMiB.at(-1)).toBeLessThan(400)
    const written = await engine.query(
      `select count(*)::int as jobs, count(distinct right(output::text, 4))::int as outputs from workflow_job
     where run_id = $1 and status = 'succeeded' and octet_length(output::text) = $2`,
      [run, payloadBytes],
    )
    expect(written).toEqual([{ jobs, outputs }])
  },
  300_000,
)
