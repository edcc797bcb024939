import { randomUUID } from 'node:crypto'
import { registerLane, queryable } from '@esteira/outbox'
import { cloneDatabase } from '@esteira/test/support'
import { v7 as uuidv7 } from 'uuid'
import * as z from 'zod'
import {
  carryOnCancels,
  cancelRun,
  fail,
  openRun,
  releaseWaitingJobs,
  sendAgain,
  settleWaitingRuns,
  snooze,
  Workflow,
  WorkflowStep,
} from '../src/index.ts'
import { beatJobs } from '../src/job/beat-jobs.ts'
import { jobStatuses } from '../src/job/transitions.ts'
import { noteSeen } from '../src/probe/note-seen.ts'
import { probeQueues } from '../src/probe/probe-queues.ts'
import type { ProbeTimes } from '../src/probe/probe-times.ts'
import { runStatuses } from '../src/run/run-status.ts'
import type { Beating } from '../src/worker/beats.ts'
import { deliver } from '../src/worker/deliver.ts'
import { deliverMeans } from '../src/worker/deliver-means.ts'
import type { Delivered } from '../src/worker/finish.ts'
import { openPools } from '../src/worker/pools.ts'
import { openConservation } from './conservation.ts'
import { functionOf } from './engine.ts'
import { workerOptions } from './worker-options.ts'

/** A message on the belt. */
export type Message = { jobId: string; seq: number; redelivered: boolean }

/** A message that only asks to be seen. It comes out when all that was there before it has been handed out. */
export type Probe = { probe: string }

/** How a function ends: with its result (`split` gives so many items), by a throw, or by an outcome. */
export type Ending = { how: 'done' | 'throw' | 'snooze' | 'fail'; items: number }

/** A delivery whose function is at work. */
export type Attempt = {
  message: Message
  /** Whether its message is still ours to ack: false once the broker has it back. */
  attached: boolean
  /** What its commit will be compared with, as the row was when the function began or the last beat was answered. */
  claim: string | null
  end: (ending: Ending) => void
  delivered: Promise<Delivered>
}

/** A job as its row is. */
export type JobRow = z.infer<typeof jobRows>[number]

/** Jobs of a step on the belt, at most: few enough that some always wait. */
const window = 2

/** What is waited for in a probe is not time here, but that everything in hand has gone back. */
const noTimes: ProbeTimes = { waitsMs: 0, holdMs: 0, takesMs: 0, againMs: 0 }
const muchLaterMs = 3_600_000

/**
 * Two workers on one run, in everything as they are but for what is around them: the belt is a list, the relay moves rows
 * to it when it is told to, functions end when they are told to, and beats are sent when they are told to. So a
 * test decides what happens after what, and it happens at once.
 */
export const openTwoWorkers = async () => {
  const database = await cloneDatabase()
  const functions = ['split', 'work'].map((name) =>
    functionOf(name, () => {
      const ending = Promise.withResolvers<Ending>()
      begun?.(ending.resolve)
      return ending.promise.then(({ how, items }) => {
        if (how === 'throw') throw new Error('as the test wants it')
        if (how === 'snooze') return snooze(0)
        return how === 'fail' ? fail('as the test wants it') : Array.from({ length: items }, (_, index) => index)
      })
    }),
  )
  /** Hears of the next function that begins. */
  let begun: ((end: (ending: Ending) => void) => void) | null = null
  const options = workerOptions({ functions, databaseUrl: database.url, lane: 'belt', worker: 'one of two', window })
  const pools = openPools(options, new AbortController().signal)
  const em = () => pools.orm.em.fork()
  const query = async (text: string, values: unknown[] = []) => (await queryable(em()).query(text, values)).rows
  const lane = await registerLane(queryable(em()), options.lane)

  /** One of the two. When it is killed another one takes its place, which knows nothing of what it did. */
  const startWorker = () => {
    const beating = new Set<Beating>()
    const { means, settled } = deliverMeans(pools, lane, options, new AbortController().signal)
    const beats = {
      add: (one: Beating) => {
        beating.add(one)
        return async () => void beating.delete(one)
      },
    }
    return { means: { ...means, beats }, settled, beating }
  }

  type TwoWorker = ReturnType<typeof startWorker>

  /** Begins a run whose first step gives the second its jobs. Nothing is there of those before, which may have failed. */
  const beginRun = async () => {
    await query(clearSql)
    const workflow = { id: uuidv7(), version: 1 }
    const [split, work] = [uuidv7(), uuidv7()]
    const draft = { version: 1, workflowId: workflow.id, config: {}, retry: { maxAttempts: 2, delayMs: 0 } }
    await em().transactional(async (tx) => {
      tx.create(Workflow, { ...workflow, name: workflow.id, automationType: 'step', enabled: true }, { persist: true })
      const steps = [
        { id: split, functionName: 'split', outputType: 'multiple' as const, nextStepId: work },
        { id: work, functionName: 'work', outputType: null, nextStepId: null },
      ]
      for (const [position, step] of steps.entries()) {
        tx.create(WorkflowStep, { ...draft, ...step, position, name: step.functionName }, { persist: true })
      }
    })
    const { runId } = await openRun(em(), {
      workflow,
      stepId: split,
      trigger: 'manual',
      idempotencyKey: randomUUID(),
      payload: null,
      lane,
      worker: 'test',
      window,
    })
    return inRun(runId)
  }

  const inRun = (runId: string) => {
    const belt: (Message | Probe)[] = []
    /** Deliveries that were in somebody's hand when a probe came out. */
    const inHandAtSight = new Set<Attempt>()
    const attempts: Attempt[] = []
    /** Of workers that were killed: what is left of a process that only looked dead. */
    const zombies: Attempt[] = []
    const workers: [TwoWorker, TwoWorker] = [startWorker(), startWorker()]
    const everyWorker: TwoWorker[] = [...workers]
    const workerOf = new Map<Attempt, TwoWorker>()
    /** A worker may have two deliveries of one job in hand: what beats for an attempt is known by itself. */
    const beatingOf = new Map<Attempt, Beating>()
    const workerAt = (which: number): TwoWorker => (which % 2 === 0 ? workers[0] : workers[1])
    const attemptsOf = (worker: TwoWorker): Attempt[] => attempts.filter((one) => workerOf.get(one) === worker)

    const jobs = async (): Promise<Map<string, JobRow>> => {
      const rows = jobRows.parse(await query(jobsSql, [runId]))
      return new Map(rows.map((row) => [row.id, row]))
    }

    /** Runs of both are settled by hints that nobody waits for. */
    const settled = async (): Promise<void> => {
      await Promise.all(everyWorker.map((worker) => worker.settled()))
    }

    const forget = (attempt: Attempt): void => {
      const at = attempts.indexOf(attempt)
      if (at >= 0) attempts.splice(at, 1)
    }

    const giveBack = (attempt: Attempt): void => {
      if (attempt.attached) belt.push({ ...attempt.message, redelivered: true })
      attempt.attached = false
    }

    /** Waits for the end of an attempt whose function ended or heard that it is to. */
    const endOf = async (attempt: Attempt): Promise<Delivered> => {
      const delivered = await attempt.delivered
      if (delivered.kind === 'refused') giveBack(attempt)
      forget(attempt)
      return delivered
    }

    return {
      runId,
      belt,
      attempts,
      zombies,
      jobs,
      settled,
      endOf,
      runStatus: async () =>
        runRows.parse(await query('select status from workflow_run where id = $1', [runId]))[0].status,
      /** The messages that are written and not published. */
      waiting: async () => messageRows.parse(await query(waitingSql)),
      ...openConservation(query),

      /** The relay publishes all that is written, also what is for later. */
      publish: async (): Promise<void> => {
        const rows = takenRows.parse(await query(takeMessagesSql))
        for (const row of rows) belt.push('probe' in row ? row : { ...row, redelivered: false })
      },

      /** A worker gets the message at the head, if that is a probe. */
      seeProbe: async (): Promise<void> => {
        const [first] = belt
        if (first === undefined || !('probe' in first)) return
        belt.shift()
        for (const attempt of attempts) if (attempt.attached) inHandAtSight.add(attempt)
        await noteSeen(em(), first.probe)
      },

      /** A turn of the search for lost messages; resolves to the jobs that it sent again. */
      probe: async (): Promise<string[]> => {
        const before = await jobs()
        // As the broker does, within the time that a probe is held for.
        const isHeld = attempts.some((attempt) => attempt.attached && inHandAtSight.has(attempt))
        const times = isHeld ? { ...noTimes, holdMs: muchLaterMs } : noTimes
        await probeQueues(em(), { lane, times, observe: () => {} })
        return [...(await jobs()).values()].filter(({ id, seq }) => seq !== before.get(id)?.seq).map(({ id }) => id)
      },

      /** A worker gets a message; resolves when its function has begun, or with what became of it without one. */
      receive: async (which: number, message: Message): Promise<Delivered | 'begun'> => {
        const worker = workerAt(which)
        belt.splice(belt.indexOf(message), 1)
        const started = Promise.withResolvers<(ending: Ending) => void>()
        begun = started.resolve
        const job = (await jobs()).get(message.jobId)
        const fn = functions.find(({ name }) => name === job?.functionName)
        if (fn === undefined) throw new Error(`there is no job ${message.jobId}`)
        const reference = { jobId: message.jobId, seq: message.seq }
        const delivered = deliver(fn, { ...message, reference, deliveries: 0 }, worker.means).then(
          (carried) => carried.delivered,
        )
        const first = await Promise.race([delivered, started.promise])
        if (typeof first !== 'function') {
          if (first.kind === 'refused') belt.push({ ...message, redelivered: true })
          return first
        }
        const claim = (await jobs()).get(message.jobId)?.claim ?? null
        const attempt = { message, attached: true, claim, end: first, delivered }
        attempts.push(attempt)
        workerOf.set(attempt, worker)
        const beating = [...worker.beating].at(-1)
        if (beating !== undefined) beatingOf.set(attempt, beating)
        return 'begun'
      },

      /** Ends the function of an attempt; resolves to what became of the delivery. */
      finish: (attempt: Attempt, ending: Ending): Promise<Delivered> => {
        attempt.end(ending)
        return endOf(attempt)
      },

      /** All functions of a worker beat once; those that hear of a loss or a cancel end. */
      beat: async (which: number): Promise<void> => {
        const worker = workerAt(which)
        const beating = [...worker.beating]
        const answers = await beatJobs(
          em(),
          beating.map(({ beat }) => beat()),
          options.worker,
        )
        for (const [at, answer] of answers.entries()) beating[at]?.answered(answer)
        const over = new Set(beating.filter((_, at) => answers[at]?.isOurs !== true || answers[at].isCancelled))
        for (const attempt of attemptsOf(worker)) {
          const own = beatingOf.get(attempt)
          if (own === undefined) continue
          if (over.has(own)) await endOf(attempt)
          else attempt.claim = own.beat().claim
        }
      },

      /** The broker takes a worker for gone, and has its messages back; its functions are still at work. */
      loseBroker: (which: number): void => {
        for (const attempt of attemptsOf(workerAt(which))) giveBack(attempt)
      },

      kill: (which: number): void => {
        const worker = workerAt(which)
        for (const attempt of attemptsOf(worker)) {
          giveBack(attempt)
          forget(attempt)
          zombies.push(attempt)
        }
        workers[which % 2] = startWorker()
        everyWorker.push(workerAt(which))
      },

      cancel: () => cancelRun(em(), runId),
      retry: (jobId: string) => sendAgain(em(), jobId, { lane, window }),
      /** The duties of the control plane. */
      sweep: async (): Promise<void> => {
        await carryOnCancels(em())
        await releaseWaitingJobs(em(), { lane, window })
        await settleWaitingRuns(em(), 100)
      },
    }
  }

  return {
    beginRun,
    close: async () => {
      await pools.close()
      await database.drop()
    },
  }
}

export type TwoWorkers = Awaited<ReturnType<typeof openTwoWorkers>>
export type RunOfTwo = Awaited<ReturnType<TwoWorkers['beginRun']>>

const jobsSql = `
  select job.id, job.status, job.seq, job.claim, step.function_name as "functionName"
  from workflow_job job
  join workflow_run run on run.id = job.run_id
  join workflow_step step on step.id = job.step_id and step.version = run.version
  where job.run_id = $1
  order by job.id`

const jobRows = z.array(
  z.object({
    id: z.string(),
    status: z.enum(jobStatuses),
    seq: z.int(),
    claim: z.string().nullable(),
    functionName: z.string(),
  }),
)

const runRows = z.tuple([z.object({ status: z.enum(runStatuses) })])

const clearSql = `
  truncate workflow_run, workflow_waiting, workflow_hidden_page, workflow_probe, workflow_probed_job, outbox_message,
    outbox_scheduled cascade`

const takeMessagesSql = `
  with now as (delete from outbox_message returning id, payload),
       later as (delete from outbox_scheduled returning id, payload)
  select payload from (select * from now union all select * from later) as message order by id`

const takenRows = z.array(
  z
    .object({ payload: z.union([z.object({ jobId: z.string(), seq: z.int() }), z.object({ probe: z.string() })]) })
    .transform(({ payload }) => payload),
)

const messageRows = z.array(z.object({ jobId: z.string(), seq: z.int() }))

const waitingSql = `
  select payload ->> 'jobId' as "jobId", (payload ->> 'seq')::int as seq
  from (select payload from outbox_message union all select payload from outbox_scheduled) as message
  where payload ->> 'jobId' is not null`
