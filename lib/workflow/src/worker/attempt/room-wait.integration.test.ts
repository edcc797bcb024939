import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { type Engine, functionOf } from '../../../test/engine.ts'
import { useEngine } from '../../../test/use-engine.ts'

/** Of payloads with a million bytes some thirty are in memory at a time: the others wait for room. */
const jobs = 60
const payloadBytes = 1_000_000

let engine: Engine

useEngine((opened) => {
  engine = opened
})

test('jobs that wait for room too long are put off as often as it takes, and each is called once', async () => {
  const called: string[] = []
  const gate = Promise.withResolvers<void>()
  const fn = functionOf('large', async ({ job }) => {
    called.push(job.id)
    await gate.promise
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
  const worker = await engine.startWorker([fn], { roomWaitMs: 500 })
  // Nobody leaves the room meanwhile: whoever waits is put off, and not only once.
  const isPutOff = async () => {
    const waiting = (await engine.jobs(run)).filter(({ id, step }) => step === 1 && !called.includes(id))
    return waiting.length > 0 && waiting.every(({ seq }) => seq > 2)
  }
  await waitFor(isPutOff, { deadlineMs: 60_000, describe: () => worker.events.at(-1) })
  expect(called.length).toBeGreaterThan(0)
  gate.resolve()
  expect(await engine.over(run, 60_000)).toBe('succeeded')
  expect(called).toHaveLength(jobs)
  expect(new Set(called).size).toBe(jobs)
  expect([...worker.saw('belt.fault'), ...worker.saw('belt.lost')]).toEqual([])
  expect(await engine.query(`select distinct attempt from workflow_job where run_id = $1`, [run])).toEqual([
    { attempt: 1 },
  ])
}, 150_000)
