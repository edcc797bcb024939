import { setTimeout as delay } from 'node:timers/promises'
import { startImpatientRabbitmq, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Engine, functionOf, openEngine } from '../../test/engine.ts'
import { expectConserved } from '../../test/expect-conserved.ts'

const consumerTimeoutMs = 10_000

/** Of payloads with a million bytes some thirty are in memory at a time: these are three turns, together longer than that. */
const jobs = 90
const payloadBytes = 1_000_000
const functionMs = 4_000

let engine: Engine

beforeAll(async () => {
  engine = await openEngine(await startImpatientRabbitmq(consumerTimeoutMs))
}, 120_000)
afterAll(() => engine.close())

test('jobs that wait for room longer than the broker does for an ack are put off, and each is called once', async () => {
  const called: string[] = []
  const fn = functionOf('large', async ({ job }) => {
    called.push(job.id)
    await delay(functionMs)
  })
  const declaring = await engine.startWorker([fn])
  await declaring.stop()
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'large', outputType: null },
  )
  const run = await engine.begin(
    workflow,
    Array.from({ length: jobs }, (_, index) => index),
  )
  await engine.query(
    `update workflow_job set payload = to_jsonb(repeat(chr(97 + item_index % 26), $2 - 2))
     where run_id = $1 and status = 'queued'`,
    [run, payloadBytes],
  )
  await waitFor(async () => (await engine.broker.count('large')) === jobs)
  const worker = await engine.startWorker([fn], { roomWaitMs: 2_000 })
  const isOver = async () => (await engine.statusOf(run)) === 'succeeded'
  await waitFor(isOver, { deadlineMs: 60_000, describe: () => worker.events.at(-1) })
  expect([...worker.saw('belt.fault'), ...worker.saw('belt.lost')]).toEqual([])
  expect(called).toHaveLength(jobs)
  expect(new Set(called).size).toBe(jobs)
  const putOff = worker.saw('job.written').filter((event) => 'ending' in event && event.ending === 'requeued')
  expect(putOff.length).toBeGreaterThan(0)
  expect(await engine.query(`select distinct attempt from workflow_job where run_id = $1`, [run])).toEqual([
    { attempt: 1 },
  ])
  await expectConserved(engine)
}, 120_000)
