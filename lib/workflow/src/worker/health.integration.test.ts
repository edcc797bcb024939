import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { freePort, holdBackMigrations, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { type Engine, laneName } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'

let engine: Engine
useEngine((opened) => {
  engine = opened
})

const program = fileURLToPath(new URL('../../test/counting-worker/main.ts', import.meta.url))

/** Starts the worker with a port for its health, without waiting for it to be ready. */
const startProgram = async () => {
  const port = await freePort()
  const child = spawn(process.execPath, [program], {
    env: {
      DATABASE_URL: engine.databaseUrl,
      RABBITMQ_URL: engine.rabbitmqUrl,
      ESTEIRA_LANE: laneName,
      ESTEIRA_HEALTH_PORT: String(port),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (bytes) => (said += String(bytes)))
  const exited = once(child, 'exit')
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const at = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    return { status: response.status, text: await response.text() }
  }
  const says = (text: string) => waitFor(() => said.includes(text), { describe: () => said, deadlineMs: 60_000 })
  return { at, says, end: () => child.kill('SIGTERM'), exited }
}

test('a worker tells whether it lives and is ready, and counts its jobs and what its functions count', async () => {
  const worker = await startProgram()
  await worker.says('"event":"ready"')
  expect(await worker.at('/healthz')).toEqual({ status: 200, text: 'ok\n' })
  expect(await worker.at('/readyz')).toEqual({ status: 200, text: 'ready\n' })
  const workflow = await engine.saveWorkflow({ functionName: 'Count.payloads', outputType: 'single' })
  for (const payload of ['good', 7, 8]) {
    expect(await engine.over(await engine.begin(workflow, payload))).toBe('succeeded')
  }
  expect(await engine.over(await engine.begin(workflow, 'bad'))).toBe('failed')
  const metrics = async () => (await worker.at('/metrics')).text
  // A run is over with its commit, and the worker hears of that a moment later.
  await waitFor(async () => (await metrics()).includes('ending="failed"} 1'), { describe: metrics })
  const text = await metrics()
  expect(text).toContain('esteira_worker_jobs_total{function="Count.payloads",ending="succeeded"} 3\n')
  expect(text).toContain('esteira_payloads_total{kind="string"} 2\nesteira_payloads_total{kind="number"} 2\n')
  worker.end()
  expect(await worker.exited).toEqual([0, null])
}, 120_000)

test('a worker of a version whose migration is not applied yet is alive but not ready, and takes no job', async () => {
  const migrate = await holdBackMigrations(engine.databaseUrl, '0013_cron_job')
  onTestFinished(migrate)
  await engine.query(`delete from workflow_function where name = 'Count.payloads'`)
  const workflow = await engine.saveWorkflow({ functionName: 'Count.payloads', outputType: 'single' })
  const runId = await engine.begin(workflow, 'good')
  const worker = await startProgram()
  await worker.says('the database is at migration 0013_cron_job, this version needs')
  expect(await worker.at('/healthz')).toMatchObject({ status: 200 })
  expect(await worker.at('/readyz')).toMatchObject({ status: 503 })
  expect(await engine.query(`select from workflow_function where name = 'Count.payloads'`)).toEqual([])
  expect(await engine.query('select from workflow_job where run_id = $1 and claim is not null', [runId])).toEqual([])
  await migrate()
  await worker.says('"event":"ready"')
  expect(await worker.at('/readyz')).toMatchObject({ status: 200 })
  expect(await engine.over(runId)).toBe('succeeded')
}, 120_000)
