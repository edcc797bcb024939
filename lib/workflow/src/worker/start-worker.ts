import { setTimeout as pause } from 'node:timers/promises'
import { queryable, registerLane } from '@esteira/outbox'
import { type Log, untilAvailable } from '@esteira/service'
import type { MikroORM } from '@mikro-orm/postgresql'
import type { SpanContext } from '@opentelemetry/api'
import { isTransient } from '../database/is-transient.ts'
import { endSession } from '../database/end-session.ts'
import { openOrm } from '../database/open-orm.ts'
import type { StepFunction } from '../function/define-function.ts'
import { publishFunctions } from '../function/publish-functions.ts'
import { beatJobs } from '../job/beat-jobs.ts'
import { type Claim, claimJobs } from '../job/claim-jobs.ts'
import { findJobs } from '../job/find-jobs.ts'
import type { FinishedJob, JobOnBelt } from '../job/held-job.ts'
import { defaultMaxPayloadBytes, placedBytes } from '../job/payload-limit.ts'
import { readPayloads } from '../job/read-payloads.ts'
import { writeUnit, type Written } from '../job/unit/write-unit.ts'
import type { JobError } from '../model/workflow-job.ts'
import { loadSteps } from '../run/load-steps.ts'
import { settle } from '../run/settle/settle.ts'
import { defaultWindow } from '../run/settle/window.ts'
import type { Secrets } from '../secrets/read-secrets.ts'
import { inCommitSpans } from '../trace/commit-spans.ts'
import type { Traced } from '../trace/process-span.ts'
import { type AbandonedEvent, watchAbandoned } from './abandoned.ts'
import { type BeatEvent, createBeats } from './beats.ts'
import { type BeltEvent, openBelt } from './belt/belt.ts'
import type { Delivery } from './belt/delivery.ts'
import { bringPayloads } from './bring-payload.ts'
import { configCache, stepCache } from './caches.ts'
import { type CommitEvent, commitGroup } from './commit-group.ts'
import { deliver, type DeliverMeans } from './deliver.ts'
import type { Delivered } from './finish.ts'
import { gather, gatherApart, type GatherOptions } from './gather.ts'
import type { DropReason } from './load.ts'
import { createOwnUnits } from './own-units.ts'
import { createSettling, type SettleEvent } from './settle-hints.ts'

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
  /** How many jobs of one run and step are on the belt at most; `defaultWindow` unless given. */
  window?: number
  /** What each value of a result may have as JSON, 1 MiB unless given: a job that gives more ends `failed`. */
  maxPayloadBytes?: number
  graceMs: number
  /** What `{ "$secret": "name" }` in a config stands for. */
  secrets: Secrets
  log: Log
  observe: (event: WorkerEvent) => void
  /** Ends a start that waits for Postgres or RabbitMQ. */
  signal: AbortSignal
}

/** What happens in a worker: never with a payload. */
export type WorkerEvent =
  | BeltEvent
  | BeatEvent
  | AbandonedEvent
  | CommitEvent
  | SettleEvent
  | ({ kind: 'job.written'; ending: 'succeeded' | 'cancelled' } & OfJob)
  | ({ kind: 'job.written'; ending: 'failed' | 'requeued'; error: JobError | null } & OfJob)
  | ({ kind: 'delivery.dropped'; reason: DropReason } & OfJob)
  | { kind: 'delivery.handed-back'; functionName: string; jobId: string; error: unknown }
  | { kind: 'database.unavailable'; reason: string }

/** `place` is where in the job's trace the attempt was, if there was one. */
type OfJob = { functionName: string; jobId: string; place?: SpanContext }

export type Worker = { stop: () => Promise<void> }

/** A group is one statement: large enough to be cheap, small enough that a failing one is split soon. */
const groupSize = 200

/** Results of a group: some four of the largest. All of it is in memory several times, here and in Postgres. */
const groupBytes = 4 * 1024 * 1024

/** The large payloads of a function that are in memory at a time, as JSON. Results are as many again, at most. */
const roomBytes = 32 * 1024 * 1024

/** Groups of a function that commit, or claim, at once: while one waits for a lock or a slow disk, the next may pass. */
const groupsAtOnce = 2

/** A function may have its commits and its claims under way; all together load jobs, read steps and settle runs. */
const poolSizeFor = (functions: number): number => 3 + 2 * groupsAtOnce * functions

/** Units of work of their own at a time. */
const ownPoolSize = 8

const databasePauseMs = 500

/** A beat that is not answered by then is given up, milliseconds; the next one goes over a session of its own. */
const beatSilenceMs = 5_000

/** How long sessions of Postgres may take to end; a server that is silent must not keep the process alive. */
const goodbyeMs = 1_000

/** Publishes what the functions are, then consumes their queues until it is stopped. */
export const startWorker = async (options: WorkerOptions): Promise<Worker> => {
  const { databaseUrl, rabbitmqUrl, log, signal } = options
  const severed = new AbortController()
  const ormOptions = { databaseUrl, applicationName: options.worker, severed: severed.signal }
  const orm = openOrm({ ...ormOptions, poolSize: poolSizeFor(options.functions.length) })
  // Of its own: when all of the pool waits for a lock or for Postgres, a cancel must still get through.
  const beatOrm = openOrm({ ...ormOptions, poolSize: 1, silenceMs: beatSilenceMs })
  // Of their own too: functions keep these sessions for as long as they run.
  const ownOrm = openOrm({
    ...ormOptions,
    poolSize: ownPoolSize,
    known: options.functions.flatMap(({ entities }) => entities),
  })
  const close = async () => {
    await Promise.all([orm.close(), ownOrm.close()])
    // Last: it ends sessions of the others that are in the middle of a statement.
    await beatOrm.close()
  }
  const stopping = new AbortController()
  const giveUp = () => severed.abort()
  signal.addEventListener('abort', giveUp)
  try {
    const lane = await untilAvailable({ what: 'Postgres', url: databaseUrl, log, signal }, async () => {
      await publishFunctions(orm.em.fork(), options.functions)
      return registerLane(queryable(orm.em.fork()), options.lane)
    })
    const { means, settled } = deliverMeans({ orm, beatOrm, ownOrm }, lane, options, stopping.signal)
    const functions = new Map(options.functions.map((fn) => [fn.name, fn]))
    const belt = await untilAvailable({ what: 'RabbitMQ', url: rabbitmqUrl, log, signal }, async () => {
      const onDelivery = (queue: string, delivery: Delivery) => {
        const fn = functions.get(queue)
        if (fn !== undefined) void carry(fn, delivery, means, options)
      }
      const opened = await openBelt({ ...options, queues: [...functions.keys()], onDelivery }, signal)
      // Nobody gets a belt that comes after the start was given up, so nobody else would close it.
      if (signal.aborted) await opened.stop()
      return opened
    })
    const stop = async () => {
      means.abandoned.stop()
      await belt.stop()
      await Promise.race([settled(), pause(goodbyeMs, undefined, { ref: false })])
      // What is still under way now has outlived the grace period; its messages went back with the channel.
      stopping.abort(new Error('the worker has stopped'))
      setTimeout(giveUp, goodbyeMs).unref()
      await close()
    }
    return { stop }
  } catch (error) {
    await close()
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
    const { delivered, free } = await deliver(fn, delivery, means)
    if (delivered.kind === 'refused') return delivery.handBack()
    observe(eventOf(fn.name, jobId, delivered))
    // The job is written, but its function still runs here: until the ack the broker sends no other in its place.
    if (free !== null) await free
    delivery.ack()
  } catch (error) {
    // Nothing was written, so the message must come again: to us, or to whoever is there after us.
    delivery.handBack()
    observe({ kind: 'delivery.handed-back', functionName: fn.name, jobId, error })
  }
}

const eventOf = (
  functionName: string,
  jobId: string,
  delivered: Exclude<Delivered, { kind: 'refused' }> & Traced,
): WorkerEvent => {
  const of = { functionName, jobId, ...(delivered.place && { place: delivered.place }) }
  if (delivered.kind === 'dropped') return { kind: 'delivery.dropped', ...of, reason: delivered.reason }
  const { ending } = delivered
  return 'error' in ending
    ? { kind: 'job.written', ...of, ending: ending.kind, error: ending.error }
    : { kind: 'job.written', ...of, ending: ending.kind }
}

/** A run that somebody holds locked is waited for by the groups of its functions, and by no others. */
const functionOf = ({ job }: { job: JobOnBelt }): string => job.functionName

const commitGroups: GatherOptions<FinishedJob> = {
  most: groupSize,
  mostBytes: groupBytes,
  bytesOf: ({ ending }) => (ending.kind === 'succeeded' ? placedBytes(ending.placed) : 0),
  atOnce: groupsAtOnce,
  // A job whose message came twice: the later end waits here, not for a lock in Postgres.
  keyOf: ({ job }) => job.id,
}

const claimGroups: GatherOptions<Claim & { job: JobOnBelt }> = { most: groupSize, atOnce: groupsAtOnce }

const deliverMeans = (
  { orm, beatOrm, ownOrm }: Record<'orm' | 'beatOrm' | 'ownOrm', MikroORM>,
  lane: number,
  {
    worker,
    prefetch,
    log,
    secrets,
    maxPayloadBytes = defaultMaxPayloadBytes,
    observe,
    window = defaultWindow,
  }: WorkerOptions,
  stopped: AbortSignal,
): { means: DeliverMeans; settled: () => Promise<void> } => {
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
  const settling = createSettling({
    most: groupSize,
    settle: (runIds) => untilDone(() => settle(orm.em.fork(), runIds, { lane, window })),
    observe,
  })
  const onWritten = ({ created, toSettle }: Written): void => {
    for (const span of created) span.end()
    settling.hint(toSettle)
  }
  const write = async (ends: readonly FinishedJob[]): Promise<ReadonlySet<FinishedJob>> => {
    const written = await untilDone(() =>
      orm.em.fork().transactional((em) => writeUnit(em, { ends }, { worker, lane, window })),
    )
    onWritten(written)
    return written.won
  }
  const means: DeliverMeans = {
    orm,
    worker,
    log,
    secrets,
    untilDone,
    random: Math.random,
    maxPayloadBytes,
    stopped,
    stepOf: stepCache((workflowId, version) => untilDone(() => loadSteps(orm.em.fork(), workflowId, version))),
    configOf: configCache(),
    abandoned: watchAbandoned({ most: prefetch, observe }),
    beats: createBeats({ send: (beats) => beatJobs(beatOrm.em.fork(), beats, worker), observe, stopped }),
    find: gather({ most: groupSize }, async (ids: string[]) => {
      const found = await untilDone(() => findJobs(orm.em.fork(), ids))
      return ids.map((id) => found.get(id))
    }),
    bring: bringPayloads({
      roomBytes,
      most: groupSize,
      mostBytes: groupBytes,
      read: (ids) => untilDone(() => readPayloads(orm.em.fork(), ids)),
    }),
    ownUnits: createOwnUnits({
      orm: ownOrm,
      poolSize: ownPoolSize,
      by: { worker, lane, window },
      untilDone,
      endSession: (pid) => endSession(beatOrm.em.fork(), pid),
      onWritten,
    }),
    claim: gatherApart(functionOf, claimGroups, async (claims) => {
      const taken = await untilDone(() => claimJobs(orm.em.fork(), claims, worker))
      return claims.map((claim) => taken.has(claim))
    }),
    commit: gatherApart(functionOf, commitGroups, (group) =>
      inCommitSpans(group, () => commitGroup(group, { write, observe, stopped })),
    ),
  }
  return { means, settled: settling.done }
}
