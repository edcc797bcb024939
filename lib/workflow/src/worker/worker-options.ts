import type { Log } from '@esteira/service'
import type { SpanContext } from '@opentelemetry/api'
import type { StepFunction } from '../function/define-function.ts'
import type { JobError } from '../model/workflow-job.ts'
import type { Secrets } from '../secrets/read-secrets.ts'
import type { AbandonedEvent } from './attempt/abandoned.ts'
import type { BeatEvent } from './hold/beats.ts'
import type { BeltEvent } from './belt/belt.ts'
import type { CommitEvent } from './commit/commit-group.ts'
import type { LoadEvent } from './commit/in-halves.ts'
import type { ProbeAnswerEvent } from './deliver/answer-probe.ts'
import type { PublishEvent } from './keep-published.ts'
import type { DropReason } from './deliver/load.ts'
import type { SettleEvent } from './deliver/settle-hints.ts'
import type { SuspectEvent } from './suspect/suspects.ts'
import type { WardLimits, WardProgram } from './suspect/ward.ts'

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
  /** How many items are written at once of a job that gives very many, 2,000 unless given. */
  pageItems?: number
  /** A job goes on in a new delivery behind a page after this, milliseconds; 5 minutes unless given. */
  continueMs?: number
  /**
   * How long a job waits for room in memory for its payload before it gets a new message, milliseconds; 3 minutes
   * unless given.
   */
  roomWaitMs?: number
  /**
   * How long a delivery may last whose job waits for locks, before that gets a new message, milliseconds; 28 minutes
   * unless given.
   */
  lockPatienceMs?: number
  /** How often what the functions are is published again, milliseconds; 5 minutes unless given. */
  publishMs?: number
  graceMs: number
  /** What `{ "$secret": "name" }` in a config stands for. */
  secrets: Secrets
  /**
   * By what jobs are attempted apart that may have killed workers, as `runWorker` does; without it they are attempted like
   * any other.
   */
  ward?: WardLimits & { program: WardProgram }
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
  | LoadEvent
  | SettleEvent
  | ProbeAnswerEvent
  | PublishEvent
  | SuspectEvent
  | ({ kind: 'job.written'; ending: 'succeeded' | 'cancelled' | 'continued' } & OfJob)
  | ({ kind: 'job.written'; ending: 'failed' | 'requeued'; error: JobError | null } & OfJob)
  | ({ kind: 'delivery.dropped'; reason: DropReason } & OfJob)
  | { kind: 'delivery.refused'; functionName: string; jobId: string }
  | { kind: 'delivery.handed-back'; functionName: string; jobId: string; error: unknown }
  | { kind: 'database.unavailable'; reason: string }

/** `place` is where in the job's trace the attempt was, if there was one. */
type OfJob = { functionName: string; jobId: string; place?: SpanContext }
