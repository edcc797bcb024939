import { randomUUID } from 'node:crypto'
import { queryable, registerLane, retryParked } from '@esteira/outbox'
import { waitFor } from '@esteira/test/support'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf } from '../../test/engine.ts'
import { holdLocked, jobSql } from '../../test/hold-locked.ts'
import { takeMessages } from '../../test/take-messages.ts'
import { useEngine } from '../../test/use-engine.ts'
import { retry, snooze } from '../function/outcome.ts'
import { cancelRun } from '../run/cancel-run.ts'
import { openRun } from '../run/open-run.ts'
import { type ProbeEvent, probeQueues } from './probe-queues.ts'
import type { ProbeTimes } from './probe-times.ts'

let engine: Engine
let events: ProbeEvent[]

useEngine((opened) => {
  engine = opened
})

beforeEach(async () => {
  events = []
  // What an earlier test left under way would wait for its queue.
  await engine.query(`delete from workflow_probe`)
  await engine.query(`delete from workflow_probed_job`)
})

/** A broker that leaves no message with a consumer for longer than five seconds. */
const times: ProbeTimes = { waitsMs: 0, holdMs: 5_000, takesMs: 2_000, againMs: 60_000 }

const turn = (some: Partial<ProbeTimes> = {}) =>
  probeQueues(engine.em(), {
    lane: engine.laneId,
    times: { ...times, ...some },
    observe: (event) => events.push(event),
  })

const lost = () => events.flatMap((event) => (event.kind === 'jobs.lost' ? [event.jobs] : []))

/** Turns until the condition holds. */
const turnUntil = (isReached: () => unknown, some: Partial<ProbeTimes> = {}) =>
  waitFor(
    async () => {
      await turn(some)
      return isReached()
    },
    { deadlineMs: 120_000, describe: () => engine.query(`select * from workflow_probe`) },
  )

const probeOf = async (functionName: string) => {
  const rows = await engine.query(
    `select round, seen_at is not null as seen from workflow_probe where function_name = $1`,
    [functionName],
  )
  return z.array(z.object({ round: z.int(), seen: z.boolean() })).parse(rows)[0]
}

/** A function that counts its attempts by job, and may do something. */
const counting = (name: string, work: (payload: unknown) => unknown = () => undefined) => {
  const calls = new Map<string, number>()
  const fn = functionOf(name, ({ job, payload }) => {
    calls.set(job.id, (calls.get(job.id) ?? 0) + 1)
    return work(payload)
  })
  return { fn, calls, mostCalls: () => Math.max(...calls.values()) }
}

/** Declares a function's queue, as a worker does that has gone. */
const declare = async (name: string): Promise<void> => {
  await (await engine.startWorker([functionOf(name, () => undefined)])).stop()
}

/** A run with so many messages in a function's queue, and nobody there to take them. */
const fill = async (name: string, jobs: number): Promise<string> => {
  await declare(name)
  const workflow = await engine.saveWorkflow(
    { functionName: `${name}.split`, outputType: 'multiple' },
    { functionName: name, outputType: null },
  )
  const split = functionOf(`${name}.split`, ({ payload }) => Array.from({ length: Number(payload) }, (_, n) => n))
  const splitter = await engine.startWorker([split], { window: 10_000 })
  const run = await engine.begin(workflow, jobs)
  const inQueue = () => engine.broker.count(name)
  await waitFor(async () => (await inQueue()) === jobs, { deadlineMs: 60_000, describe: inQueue })
  await waitFor(async () => (await messagesInOutbox(name)) === 0)
  await splitter.stop()
  return run
}

const messagesInOutbox = async (name: string): Promise<number> =>
  (await engine.query(`select from outbox_message where routing_key = $1`, [name])).length

/** How many jobs of the last step have which `seq`, all of them `succeeded`. */
const succeededBySeq = async (run: string) => {
  const rows = await engine.query(
    `select seq, count(*)::int as jobs from workflow_job
     where run_id = $1 and parent_id is not null and status = 'succeeded' group by seq order by seq`,
    [run],
  )
  return Object.fromEntries(
    z
      .array(z.object({ seq: z.int(), jobs: z.int() }))
      .parse(rows)
      .map(({ seq, jobs }) => [seq, jobs]),
  )
}

const openJobs = async (run: string): Promise<number> =>
  (await engine.query(`select from workflow_job where run_id = $1 and finished_at is null`, [run])).length

const isOver = async (run: string): Promise<boolean> => (await engine.statusOf(run)) !== 'running'

test('a queue that is deleted with 10,000 messages in it loses no job', async () => {
  const run = await fill('deleted', 10_000)
  await engine.broker.deleteQueue('deleted')
  const { fn, calls, mostCalls } = counting('deleted')
  await engine.startWorker([fn])
  await turnUntil(() => isOver(run))
  expect(await engine.statusOf(run)).toBe('succeeded')
  expect(await succeededBySeq(run)).toEqual({ 2: 10_000 })
  expect([calls.size, mostCalls()]).toEqual([10_000, 1])
  // After these it looks anew.
  expect(events.slice(0, 3)).toEqual([
    { kind: 'probe.begun', functionName: 'deleted', jobs: 10_000 },
    { kind: 'probe.sent', functionName: 'deleted' },
    { kind: 'jobs.lost', functionName: 'deleted', jobs: 10_000 },
  ])
}, 300_000)

test('of 10,000 messages every second one is dropped by hand: those jobs are sent again, and no others', async () => {
  const run = await fill('halved', 10_000)
  const taken = await takeMessages(engine.rabbitmqUrl, 'halved', 10_000)
  await taken.drop((_, place) => place % 2 === 0)
  await turn()
  const { fn, calls, mostCalls } = counting('halved')
  await engine.startWorker([fn])
  await turnUntil(() => isOver(run))
  expect(await succeededBySeq(run)).toEqual({ 1: 5_000, 2: 5_000 })
  expect([calls.size, mostCalls()]).toEqual([10_000, 1])
  expect(lost()).toEqual([5_000])
  const rows = await engine.query(`select id from workflow_job where run_id = $1 and seq = 2`, [run])
  const dropped = taken.jobIds.filter((_, place) => place % 2 === 0)
  const again = z.array(z.object({ id: z.string() })).parse(rows)
  expect(new Set(again.map(({ id }) => id))).toEqual(new Set(dropped))
}, 300_000)

test('a backlog that stands for many times as long as a probe is waited for is not sent twice', async () => {
  const run = await fill('backlog', 300)
  await turn()
  // Nobody is there, and probe after probe goes behind the backlog.
  const standsUntil = performance.now() + 4_000
  await turnUntil(() => performance.now() > standsUntil, { againMs: 100, holdMs: 1_000 })
  expect(lost()).toEqual([])
  expect(await probeOf('backlog')).toEqual({ round: 1, seen: false })
  // One is put off after it was noted, and has its second message in the outbox while the others are looked at.
  const { fn, mostCalls } = counting('backlog', async (payload) => {
    await new Promise((resolve) => setTimeout(resolve, 10))
    return payload === 7 ? snooze(3_600_000) : undefined
  })
  await engine.startWorker([fn], { prefetch: 2 })
  await turnUntil(async () => (await openJobs(run)) === 1 && (await probeOf('backlog')) === undefined, {
    holdMs: 1_000,
  })
  expect(await succeededBySeq(run)).toEqual({ 1: 299 })
  expect((await engine.jobs(run)).filter(({ status }) => status === 'queued')).toMatchObject([{ payload: 7, seq: 2 }])
  expect(mostCalls()).toBe(1)
  expect(lost()).toEqual([])
}, 120_000)

/** A lane whose relay is held up, until `free`. */
const heldLane = async (): Promise<{ lane: number; free: () => Promise<void> }> => {
  const lane = await registerLane(queryable(engine.em()), `held ${randomUUID()}`)
  const holder = engine.em()
  await holder.begin()
  // The class of the lock that a lane's owner has.
  await queryable(holder).query(`select pg_advisory_xact_lock(x'6f757462'::int, $1)`, [lane])
  const free = async () => {
    if (holder.isInTransaction()) await holder.rollback()
  }
  onTestFinished(free)
  return { lane, free }
}

test('of jobs that wait or run long only the lost one is sent again', async () => {
  const gate = Promise.withResolvers<void>()
  const { fn, calls } = counting('waits', (payload) => {
    if (payload === 'long') return gate.promise
    return payload === 'later' ? retry('later') : undefined
  })
  await engine.startWorker([fn])
  const workflow = await engine.saveWorkflow({
    functionName: 'waits',
    outputType: null,
    retry: { delayMs: 3_600_000, maxDelayMs: 3_600_000 },
  })
  const { lane, free } = await heldLane()
  const begin = async (payload: string, at = engine.laneId) => {
    const start = {
      workflow,
      stepId: workflow.stepIds[0],
      trigger: 'manual',
      payload,
      lane: at,
      worker: 'test',
    } as const
    const { runId } = await openRun(engine.em(), { ...start, idempotencyKey: payload })
    const job = async () => (await engine.jobs(runId))[0]
    return { runId, job, id: (await job())?.id }
  }
  const [long, later] = [await begin('long'), await begin('later')]
  const unsent = await begin('in the outbox', lane)
  const parked = await begin('parked', lane)
  const gone = await begin('gone', lane)
  const ofJob = `where payload ->> 'jobId' = $1`
  await engine.query(
    `with taken as (delete from outbox_message ${ofJob} returning *)
     insert into outbox_parked (lane, id, message_id, exchange, routing_key, headers, payload, created_at, reason, attempts)
     select lane, id, message_id, exchange, routing_key, headers, payload, created_at, 'full', 10 from taken`,
    [parked.id],
  )
  // What is left of a message that was confirmed and then lost.
  await engine.query(`delete from outbox_message ${ofJob}`, [gone.id])
  await waitFor(async () => (await long.job())?.status === 'running')
  await waitFor(async () => (await later.job())?.seq === 2)

  // A beat is seen on its job after some seconds, so the broker of this test is a patient one.
  await turnUntil(() => isOver(gone.runId), { holdMs: 10_000 })
  expect(lost()).toEqual([1])
  expect(await gone.job()).toMatchObject({ status: 'succeeded', seq: 2, attempt: 1 })
  // Whoever asks what became of it is told, though nobody ever had it.
  expect(await engine.attempts(gone.id ?? '')).toMatchObject([
    { seq: 1, attempt: 1, outcome: 'lost', times: 1, error: { code: 'message_lost' }, worker: '' },
  ])
  expect(await engine.attempts(long.id ?? '')).toEqual([])
  expect(await long.job()).toMatchObject({ status: 'running', seq: 1 })
  expect(await later.job()).toMatchObject({ status: 'queued', seq: 2 })
  expect(await unsent.job()).toMatchObject({ status: 'queued', seq: 1 })
  expect(await parked.job()).toMatchObject({ status: 'queued', seq: 1 })

  gate.resolve()
  const [{ id }] = z
    .tuple([z.object({ id: z.coerce.bigint() })])
    .parse(await engine.query(`select id::text from outbox_parked where lane = $1`, [lane]))
  await engine.em().transactional((em) => retryParked(queryable(em), { lane, id }))
  await free()
  for (const { runId } of [long, unsent, parked]) expect(await engine.over(runId)).toBe('succeeded')
  expect([...calls.values()]).toEqual([1, 1, 1, 1, 1])
}, 120_000)

test('a message that goes back to its queue after the probe came out, and waits there, is not sent twice', async () => {
  const run = await fill('back', 1)
  const taken = await takeMessages(engine.rabbitmqUrl, 'back', 1)
  await turn()
  const answering = await engine.startWorker([functionOf('back', () => undefined)])
  await waitFor(async () => (await probeOf('back'))?.seen)
  await answering.stop()
  await taken.drop(() => false)
  const standsUntil = performance.now() + 3_000
  await turnUntil(() => performance.now() > standsUntil, { holdMs: 1_000 })
  expect(lost()).toEqual([])
  expect(await probeOf('back')).toEqual({ round: 2, seen: false })

  const { fn, mostCalls } = counting('back')
  await engine.startWorker([fn])
  await turnUntil(async () => (await isOver(run)) && (await probeOf('back')) === undefined)
  expect(await succeededBySeq(run)).toEqual({ 1: 1 })
  expect(mostCalls()).toBe(1)
  expect(lost()).toEqual([])
}, 60_000)

test('a message that is put off after the probe came out, as somebody holds its job, is not sent twice', async () => {
  const run = await fill('held', 1)
  await turn()
  const [, job] = await engine.jobs(run)
  const { release } = await holdLocked(engine, jobSql, job?.id ?? '')
  const worker = await engine.startWorker([functionOf('held', () => undefined)], { prefetch: 1 })
  await waitFor(() => worker.saw('delivery.dropped').length > 0)
  await release()
  // Before that is due the probe is through: another one has begun, or there is nothing left to look for.
  const later = () => engine.query(`update outbox_scheduled set available_at = now() + interval '1 hour'`)
  await later()
  await turnUntil(async () => (await probeOf('held')) === undefined)
  expect(lost()).toEqual([])

  await engine.query(`update outbox_scheduled set available_at = now()`)
  expect(await engine.over(run)).toBe('succeeded')
  expect(await succeededBySeq(run)).toEqual({ 1: 1 })
  expect(await engine.attempts(job?.id ?? '')).toEqual([])
}, 60_000)

/**
 * A job that was noted, and whose message was put off when the first probe had come out. The second probe is in the queue, in
 * which nobody looks; `come` has what was put off come into it, behind all that is there.
 */
const putOffUntilSecond = async (name: string) => {
  const run = await fill(name, 1)
  await turn()
  const id = (await engine.jobs(run))[1]?.id ?? ''
  const { release } = await holdLocked(engine, jobSql, id)
  const worker = await engine.startWorker([functionOf(name, () => undefined)], { prefetch: 1 })
  await waitFor(() => worker.saw('delivery.dropped').length > 0)
  await release()
  const due = (when: string) => engine.query(`update outbox_scheduled set available_at = now() + $1::interval`, [when])
  await due('1 hour')
  await waitFor(async () => (await probeOf(name))?.seen)
  await worker.stop()
  await turnUntil(async () => (await engine.broker.count(name)) === 1)
  expect(await probeOf(name)).toEqual({ round: 2, seen: false })
  const come = async () => {
    const before = await engine.broker.count(name)
    await due('0 s')
    await waitFor(async () => (await engine.broker.count(name)) === before + 1)
  }
  return { run, id, come }
}

test('a message that was put off and stands behind the second probe is taken for lost: its job gets another, and is done once', async () => {
  const { run, id, come } = await putOffUntilSecond('late')
  const other = await engine.begin(await engine.saveWorkflow({ functionName: 'late', outputType: null }), 'keeps it')
  await waitFor(async () => (await engine.broker.count('late')) === 2)
  await come()
  const gate = Promise.withResolvers<void>()
  const { fn, calls } = counting('late', (payload) => (payload === 'keeps it' ? gate.promise : undefined))
  const worker = await engine.startWorker([fn], { prefetch: 1 })
  await turnUntil(() => lost().length > 0)
  expect(lost()).toEqual([1])
  expect(calls.has(id)).toBe(false)
  gate.resolve()
  expect(await engine.over(other)).toBe('succeeded')
  expect(await engine.over(run)).toBe('succeeded')
  expect(worker.saw('delivery.dropped')).toMatchObject([{ jobId: id, reason: 'older message' }])
  expect(calls.get(id)).toBe(1)
  expect((await engine.jobs(run))[1]).toMatchObject({ seq: 2, attempt: 1 })
  expect(await engine.attempts(id)).toMatchObject([{ seq: 1, outcome: 'lost', error: { code: 'message_lost' } }])
}, 60_000)

test('a job whose message was put off and has just been taken behind the second probe is not sent again', async () => {
  const { run, id, come } = await putOffUntilSecond('taken late')
  await come()
  const gate = Promise.withResolvers<void>()
  const { fn, calls } = counting('taken late', () => gate.promise)
  await engine.startWorker([fn], { prefetch: 1 })
  await waitFor(() => calls.has(id))
  // At once, as no beat has been sent yet of an attempt that has just begun.
  await turn({ takesMs: 0 })
  expect(lost()).toEqual([])
  gate.resolve()
  expect(await engine.over(run)).toBe('succeeded')
  expect(calls.get(id)).toBe(1)
  expect((await engine.jobs(run))[1]).toMatchObject({ seq: 1, attempt: 1 })
}, 60_000)

test('a job under the claim of a worker that is gone, without any message, is run again', async () => {
  const run = await fill('orphan', 2)
  const taken = await takeMessages(engine.rabbitmqUrl, 'orphan', 2)
  await taken.drop(() => true)
  const [orphan] = taken.jobIds
  await engine.query(
    `update workflow_job set status = 'running', claim = $2, worker = 'gone', beat_at = now() - interval '1 hour'
     where id = $1`,
    [orphan, randomUUID()],
  )
  const { fn, calls } = counting('orphan')
  await engine.startWorker([fn], { worker: 'heir' })
  await turnUntil(() => isOver(run))
  expect(await succeededBySeq(run)).toEqual({ 2: 2 })
  expect([...calls.values()]).toEqual([1, 1])
  expect((await engine.jobs(run)).at(-1)).toMatchObject({ worker: 'heir', claim: null })
  const [had, unseen] = await Promise.all(taken.jobIds.map((id) => engine.attempts(id)))
  expect(had).toMatchObject([{ seq: 1, outcome: 'lost', error: { code: 'attempt_lost' }, worker: 'gone' }])
  expect(unseen).toMatchObject([{ seq: 1, outcome: 'lost', error: { code: 'message_lost' }, worker: '' }])
}, 60_000)

test('a probe that is lost with its queue is sent again', async () => {
  const run = await fill('gone', 20)
  await turn()
  await waitFor(async () => (await engine.broker.count('gone')) === 21)
  await engine.broker.deleteQueue('gone')
  const { fn, calls } = counting('gone')
  await engine.startWorker([fn])
  // What comes now is answered, and proves nothing of what was in the queue before.
  const other = await engine.begin(await engine.saveWorkflow({ functionName: 'gone', outputType: null }), null)
  expect(await engine.over(other)).toBe('succeeded')
  expect(await probeOf('gone')).toEqual({ round: 1, seen: false })
  await turnUntil(() => isOver(run), { againMs: 500 })
  expect(await succeededBySeq(run)).toEqual({ 2: 20 })
  expect(calls.size).toBe(21)
}, 60_000)

test('a queue that is deleted while no worker is there loses no job, and its probe waits for whoever comes', async () => {
  const run = await fill('deserted', 50)
  await engine.broker.deleteQueue('deserted')
  const waitsUntil = performance.now() + 3_000
  await turnUntil(() => performance.now() > waitsUntil, { againMs: 100, holdMs: 1_000 })
  // There is no queue that it could go to, and one is enough.
  expect(await messagesInOutbox('deserted')).toBe(1)
  expect(await engine.query(`select from outbox_parked where routing_key = 'deserted'`)).toEqual([])
  expect(lost()).toEqual([])

  const { fn, calls, mostCalls } = counting('deserted')
  await engine.startWorker([fn])
  await turnUntil(() => isOver(run), { holdMs: 1_000 })
  expect(await succeededBySeq(run)).toEqual({ 2: 50 })
  expect([calls.size, mostCalls()]).toEqual([50, 1])
}, 60_000)

test('a lost job that keeps a run from being cancelled ends with it', async () => {
  const run = await fill('cancelled', 1)
  await (await takeMessages(engine.rabbitmqUrl, 'cancelled', 1)).drop(() => true)
  // A running job is left to its worker, and this one has none.
  await engine.query(
    `update workflow_job set status = 'running', claim = $2, beat_at = now() - interval '1 hour'
     where run_id = $1 and parent_id is not null`,
    [run, randomUUID()],
  )
  expect(await cancelRun(engine.em(), run)).toBe('cancelling')
  const { fn, calls } = counting('cancelled')
  await engine.startWorker([fn])
  await turnUntil(async () => (await engine.jobs(run)).at(-1)?.status === 'cancelled')
  expect(calls.size).toBe(0)
}, 60_000)

test('several that probe at a time send each job again once', async () => {
  const run = await fill('several', 2_500)
  await engine.broker.deleteQueue('several')
  const { fn, calls, mostCalls } = counting('several')
  const worker = await engine.startWorker([fn])
  await turnUntil(async () => {
    await Promise.all([turn(), turn(), turn()])
    return isOver(run)
  })
  expect(await succeededBySeq(run)).toEqual({ 2: 2_500 })
  expect([calls.size, mostCalls()]).toEqual([2_500, 1])
  expect(worker.saw('delivery.dropped')).toEqual([])
  expect(lost().reduce((sum, jobs) => sum + jobs)).toBe(2_500)
  const kinds = events.map(({ kind }) => kind)
  expect(kinds.slice(0, kinds.indexOf('jobs.lost'))).toEqual(['probe.begun', 'probe.sent'])
}, 120_000)

test('while another control plane begins probes a turn begins none, and waits for nobody', async () => {
  const run = await fill('begun', 1)
  const other = engine.em()
  await other.begin()
  await queryable(other).query(`select pg_advisory_xact_lock(hashtextextended('esteira probes', 0))`, [])
  await turn()
  expect(events).toEqual([])
  await other.rollback()
  await turn()
  expect(events).toEqual([{ kind: 'probe.begun', functionName: 'begun', jobs: 1 }])
  await engine.startWorker([functionOf('begun', () => undefined)])
  expect(await engine.over(run)).toBe('succeeded')
})

test('a probe whose answer cannot be written comes again, and one that nobody waits for is acked', async () => {
  const worker = await engine.startWorker([functionOf('asked', () => undefined)])
  const id = randomUUID()
  await engine.query(`insert into workflow_probe (function_name, id) values ('asked', $1)`, [id])
  await engine.query(`alter table workflow_probe rename to workflow_probe_away`)
  await engine.broker.publish('asked', { probe: id })
  await waitFor(() => worker.saw('probe.unanswered').length > 0)
  await engine.query(`alter table workflow_probe_away rename to workflow_probe`)
  expect(worker.saw('probe.unanswered')[0]).toMatchObject({ queue: 'asked', reason: expect.stringMatching(/exist/) })
  await waitFor(async () => (await probeOf('asked'))?.seen)

  await engine.broker.publish('asked', { probe: randomUUID() })
  const run = await engine.begin(await engine.saveWorkflow({ functionName: 'asked', outputType: null }), null)
  expect(await engine.over(run)).toBe('succeeded')
  await worker.stop()
  expect(worker.saw('belt.unreadable')).toEqual([])
  expect(await engine.broker.count('asked')).toBe(0)
})
