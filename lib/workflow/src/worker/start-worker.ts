import { setTimeout as pause } from 'node:timers/promises'
import { queryable, registerLane } from '@esteira/outbox'
import { type Log, untilAvailable } from '@esteira/service'
import type { MikroORM } from '@mikro-orm/postgresql'
import { isTransient } from '../database/is-transient.ts'
import { openOrm } from '../database/open-orm.ts'
import type { StepFunction } from '../function/define-function.ts'
import { publishFunctions } from '../function/publish-functions.ts'
import { findJobs } from '../job/find-jobs.ts'
import type { JobError } from '../model/workflow-job.ts'
import { type BeltEvent, type Delivery, openBelt } from './belt.ts'
import { configCache, stepCache } from './caches.ts'
import { commitGroup } from './commit-group.ts'
import { deliver, type Delivered, type DeliverMeans } from './deliver.ts'
import { gather } from './gather.ts'

/** What a worker process serves and where. `prefetch` is how many deliveries of a function it holds at a time. */
export type WorkerOptions = {
  functions: readonly StepFunction[]
  databaseUrl: string
  rabbitmqUrl: string
  /** The name of the lane that the worker's messages go to; its relay has the same. */
  lane: string
  /** Who ran a job, for people. */
  worker: string
  prefetch: number
  graceMs: number
  log: Log
  observe: (event: WorkerEvent) => void
  /** Ends a start that waits for Postgres or RabbitMQ. */
  signal: AbortSignal
}

/** What happens in a worker: never with a payload. */
export type WorkerEvent =
  | BeltEvent
  | { kind: 'job.written'; functionName: string; jobId: string; ending: 'succeeded' }
  | { kind: 'job.written'; functionName: string; jobId: string; ending: 'failed' | 'requeued'; error: JobError | null }
  | { kind: 'delivery.dropped'; functionName: string; jobId: string; reason: string }
  | { kind: 'delivery.handed-back'; functionName: string; jobId: string; error: unknown }
  | { kind: 'database.unavailable'; reason: string }

export type Worker = { stop: () => Promise<void> }

/** A group is one statement: large enough to be cheap, small enough that a failing one is split soon. */
const groupSize = 200
const poolSize = 8
const databasePauseMs = 500

/** How long sessions of Postgres may take to end; a server that is silent must not keep the process alive. */
const goodbyeMs = 1_000

/** Publishes what the functions are, then consumes their queues until it is stopped. */
export const startWorker = async (options: WorkerOptions): Promise<Worker> => {
  const { databaseUrl, rabbitmqUrl, log, signal } = options
  const severed = new AbortController()
  const orm = openOrm({ databaseUrl, poolSize, applicationName: options.worker, severed: severed.signal })
  const stopping = new AbortController()
  const giveUp = () => severed.abort()
  signal.addEventListener('abort', giveUp)
  try {
    const lane = await untilAvailable({ what: 'Postgres', url: databaseUrl, log, signal }, async () => {
      await publishFunctions(orm.em.fork(), options.functions)
      return registerLane(queryable(orm.em.fork()), options.lane)
    })
    const means = deliverMeans(orm, lane, options, stopping.signal)
    const functions = new Map(options.functions.map((fn) => [fn.name, fn]))
    const belt = await untilAvailable({ what: 'RabbitMQ', url: rabbitmqUrl, log, signal }, async () => {
      const opened = await openBelt({
        rabbitmqUrl,
        queues: [...functions.keys()],
        prefetch: options.prefetch,
        graceMs: options.graceMs,
        observe: options.observe,
        onDelivery: (queue, delivery) => {
          const fn = functions.get(queue)
          if (fn !== undefined) void carry(fn, delivery, means, options)
        },
      })
      // Nobody gets a belt that comes after the start was given up, so nobody else would close it.
      if (signal.aborted) await opened.stop()
      return opened
    })
    const stop = async () => {
      await belt.stop()
      // What is still under way now has outlived the grace period; its messages went back with the channel.
      stopping.abort(new Error('the worker has stopped'))
      setTimeout(giveUp, goodbyeMs).unref()
      await orm.close()
    }
    return { stop }
  } catch (error) {
    await orm.close()
    throw error
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

const carry = async (
  fn: StepFunction,
  delivery: Delivery,
  means: DeliverMeans,
  { observe }: WorkerOptions,
): Promise<void> => {
  const { jobId } = delivery.reference
  try {
    const delivered = await deliver(fn, delivery, means)
    delivery.ack()
    observe(eventOf(fn.name, jobId, delivered))
  } catch (error) {
    // Nothing was written, so the message must come again: to us, or to whoever is there after us.
    delivery.handBack()
    observe({ kind: 'delivery.handed-back', functionName: fn.name, jobId, error })
  }
}

const eventOf = (functionName: string, jobId: string, delivered: Delivered): WorkerEvent => {
  if (delivered.kind === 'dropped') {
    return { kind: 'delivery.dropped', functionName, jobId, reason: delivered.reason }
  }
  const { ending } = delivered
  return ending.kind === 'succeeded'
    ? { kind: 'job.written', functionName, jobId, ending: 'succeeded' }
    : { kind: 'job.written', functionName, jobId, ending: ending.kind, error: ending.error }
}

const deliverMeans = (
  orm: MikroORM,
  lane: number,
  { worker, log, observe }: WorkerOptions,
  stopped: AbortSignal,
): DeliverMeans => {
  const untilDone = async <T>(work: () => Promise<T>): Promise<T> => {
    for (;;) {
      // MikroORM would open a pool anew that nobody closes.
      stopped.throwIfAborted()
      try {
        return await work()
      } catch (error) {
        // A message is never acked without its commit, so there is nothing better to do than to try again.
        if (!isTransient(error) || stopped.aborted) throw error
        observe({ kind: 'database.unavailable', reason: error instanceof Error ? error.message : String(error) })
        await pause(databasePauseMs * (1 + Math.random()))
      }
    }
  }
  return {
    orm,
    worker,
    log,
    untilDone,
    random: Math.random,
    stopped,
    stepOf: stepCache(orm, untilDone),
    configOf: configCache(),
    find: gather(groupSize, async (ids: string[]) => {
      const found = await untilDone(() => findJobs(orm.em.fork(), ids))
      return ids.map((id) => found.get(id))
    }),
    commit: gather(groupSize, (finished) => commitGroup(orm, finished, { worker, lane }, untilDone)),
  }
}
