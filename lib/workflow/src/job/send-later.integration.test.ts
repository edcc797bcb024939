import { queryable, registerLane } from '@esteira/outbox'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { aJob } from '../../test/a-job.ts'
import type { Engine } from '../../test/engine.ts'
import { holdLocked, jobSql } from '../../test/hold-locked.ts'
import { useEngine } from '../../test/use-engine.ts'
import { type HeldDelivery, sendLater } from './send-later.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** A job on the belt of a function without a worker, as a worker would have it. */
const jobOf = async (functionName: string) => {
  const workflow = await engine.saveWorkflow({ functionName, outputType: null })
  const runId = await engine.begin(workflow, null)
  const [found] = await engine.jobs(runId)
  if (found === undefined) throw new Error('a run began without its job')
  const { id, seq, traceparent } = found
  return { ...aJob, id, runId, stepId: workflow.stepIds[0], functionName, seq, traceparent }
}

const first = { putOffs: 0, deliveries: 0 }

const send = (held: readonly HeldDelivery[], lane = engine.laneId) =>
  engine.em().transactional((em) => sendLater(em, held, lane))

const later = async (functionName: string) => {
  const rows = await engine.query(
    `select payload, extract(epoch from available_at - created_at)::float8 as "delayS" from outbox_scheduled
     where routing_key = $1 order by id`,
    [functionName],
  )
  return z.array(z.object({ payload: z.unknown(), delayS: z.number() })).parse(rows)
}

test('a job whose row is locked gets its message once more, which says how often it was put off and handed out', async () => {
  const job = await jobOf('held')
  await holdLocked(engine, jobSql, job.id)
  await send([{ job, putOffs: 0, deliveries: 3 }])
  expect(await later('held')).toMatchObject([
    { payload: { jobId: job.id, seq: job.seq, putOff: { times: 1, deliveries: 3 } } },
  ])
})

test('each time it waits for twice as long, and for a minute at most', async () => {
  const delays: number[] = []
  for (const putOffs of [0, 1, 2, 3, 2_000]) {
    const functionName = `put off ${putOffs} times`
    const job = await jobOf(functionName)
    await send([{ job, putOffs, deliveries: 0 }])
    delays.push(...(await later(functionName)).map(({ delayS }) => Math.round(delayS)))
  }
  expect(delays).toEqual([10, 20, 40, 60, 60])
})

test('of one that waits already, in whatever lane, no other message is written, and of another generation one is', async () => {
  const [job, other] = [await jobOf('twice'), await jobOf('twice')]
  await send([{ job, ...first }])
  const lane = await registerLane(queryable(engine.em()), 'of another worker')
  // Its worker was killed before the ack, and the message came to another one; there it came twice.
  await send(
    [
      { job, ...first, deliveries: 1 },
      { job: other, ...first },
      { job: other, ...first },
    ],
    lane,
  )
  const waiting = await later('twice')
  expect(waiting.map(({ payload }) => payload)).toMatchObject([{ jobId: job.id }, { jobId: other.id }])
  await send([{ job: { ...job, seq: job.seq + 1 }, ...first }])
  expect(await later('twice')).toHaveLength(3)
})
