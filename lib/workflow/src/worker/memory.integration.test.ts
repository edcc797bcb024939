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
const jobs = 300
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

test('memory is bounded with large payloads, however many deliveries are in hand', async () => {
  // Declares the queue, so that all messages are in it before anybody takes one.
  const declaring = await engine.startWorker([functionOf('large', () => undefined)])
  await declaring.stop()
  const run = await engine.begin(
    await engine.saveWorkflow(
      { functionName: 'CronJob', outputType: 'multiple' },
      { functionName: 'large', outputType: 'single' },
    ),
    Array.from({ length: jobs }, (_, index) => index),
  )
  await engine.query(
    `update workflow_job set payload = to_jsonb(repeat(chr(97 + item_index % 26), $2 - 2))
     where run_id = $1 and status = 'queued'`,
    [run, payloadBytes],
  )
  await waitFor(async () => (await engine.broker.count('large')) === jobs)
  const peaksMiB = startWorker('large')
  await waitFor(() => peaksMiB.length === jobs, { deadlineMs: 240_000, describe: () => peaksMiB.at(-1) })
  expect(peaksMiB.at(-1)).toBeLessThan(400)
  const written = await engine.query(
    `select count(*)::int as jobs, count(distinct left(output #>> '{}', 1))::int as outputs from workflow_job
     where run_id = $1 and status = 'succeeded' and octet_length(output::text) = $2`,
    [run, payloadBytes],
  )
  expect(written).toEqual([{ jobs, outputs: 26 }])
}, 300_000)
