import { type Log, reasonOf } from '@esteira/service'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { ConfigTemplate } from '../../config/resolve-config.ts'
import { type JobErrorCode, WorkflowError } from '../../errors.ts'
import { callFunction } from '../../function/call-function.ts'
import { maxTimeoutMs, type StepFunction, timeoutOf } from '../../function/define-function.ts'
import type { OpenSink } from '../../function/item-sink.ts'
import { isOutcome, type Outcome, outcomeMark } from '../../function/outcome.ts'
import type { Ending, HeldJob } from '../../job/held-job.ts'
import { jobError, thrownError } from '../../job/job-error.ts'
import { nextTryOf, tryAgain } from '../../job/next-try.ts'
import { limitPlaced } from '../../payload/payload-limit.ts'
import { placeResult } from '../../payload/place-result.ts'
import type { JobError } from '../../model/workflow-job.ts'
import { hideSecrets, type HiddenSecrets } from '../../secrets/hide-secrets.ts'
import type { Secrets } from '../../secrets/read-secrets.ts'
import { blameFor } from '../commit/blame.ts'
import { follow } from './follow.ts'
import { isCancel } from '../hold/hold.ts'
import type { JobStream } from '../stream/job-stream.ts'
import { openTimeBudget, type TimeBudget } from './time-budget.ts'

/** What an attempt needs beside the job. `lost` is aborted when the job is no longer this worker's, or cancelled. */
export type AttemptMeans = {
  fn: StepFunction
  config: ConfigTemplate
  secrets: Secrets
  log: Log
  lost: AbortSignal
  random: () => number
  /** For a function with a unit of work of its own. */
  em?: EntityManager
  /** For a step whose items go on one by one. */
  stream?: JobStream | undefined
  /** Told of a function that runs on when its attempt is over. */
  onRunsOn: (running: Promise<unknown>) => void
  /** What each value of a result may have as JSON. */
  maxPayloadBytes: number
}

/** Runs a job's function once, within the step's time, and says how it ended, without a secret. It never throws. */
export const attemptJob = async (job: HeldJob, means: AttemptMeans): Promise<Ending> => {
  const hidden = hideSecrets(means.secrets)
  // Hidden first: a secret of which the end was cut off would not be found.
  const errorOf: ErrorOf = (code, message) => jobError(code, hidden.inText(message))
  try {
    const result = await callInTime(job, means, hidden)
    if (isOutcome(result)) {
      await means.stream?.keep()
      return endingOf(result, means.stream?.job() ?? job, means, errorOf)
    }
    const placed = placeResult(job.step, result)
    limitPlaced(placed, job.step.name, means.maxPayloadBytes)
    return { kind: 'succeeded', placed }
  } catch (caught) {
    if (isCancel(means.lost)) return { kind: 'cancelled' }
    const thrown = readable(caught)
    const stopped = await endStream(means.stream, thrown)
    if ('ending' in stopped) return stopped.ending
    const { error } = stopped
    if (means.em !== undefined && blameFor(error) === 'job') return { kind: 'failed', error: refusalOf(error, errorOf) }
    const failure = thrownError(hidden.inText(codeOf(error)), hidden.inText(reasonOf(error)))
    return isFinal(error) ? { kind: 'failed', error: failure } : retryOrFail(means.stream?.job() ?? job, means, failure)
  }
}

/**
 * What was thrown, or an error in its place that has no more than its text: a proxy, a getter of its own or causes in a
 * circle would throw again when somebody looks for what there is to know of it.
 */
const readable = (thrown: unknown): unknown => {
  try {
    blameFor(thrown)
    codeOf(thrown)
    isFinal(thrown)
    return thrown
  } catch {
    return new Error(reasonOf(thrown))
  }
}

/** What an error means for a job that gives its items one after the other: another end than a failure, or which error. */
const endStream = async (
  stream: JobStream | undefined,
  error: unknown,
): Promise<{ ending: Ending } | { error: unknown }> => {
  if (stream === undefined) return { error }
  try {
    // The reason of a signal that is not aborted is undefined, as what a function throws may be.
    if (stream.continues.aborted && error === stream.continues.reason) return { ending: await stream.continuation() }
    await stream.keep()
  } catch (kept) {
    return { error: kept }
  }
  // Its time was up, or it threw, when all its items were there: the function is not needed again.
  return stream.isSealed() ? { ending: stream.allGiven } : { error }
}

/** Makes the error that is kept on the job. */
type ErrorOf = (code: JobErrorCode, message: string) => JobError

const callInTime = async (
  job: HeldJob,
  { fn, config, log, lost, em, stream, onRunsOn, maxPayloadBytes }: AttemptMeans,
  hidden: HiddenSecrets,
): Promise<unknown> => {
  const step = {
    id: job.step.id,
    name: job.step.name,
    outputType: job.step.outputType,
    hasNext: job.step.next !== null,
  }
  const timeoutMs = timeoutOf(fn, job.step)
  const over = new AbortController()
  // What it waits for the engine is not its own time. But RabbitMQ waits for neither, nor does an open transaction.
  const mostMs = em === undefined ? maxTimeoutMs : timeoutMs
  const time = openTimeBudget({ ms: timeoutMs, mostMs }, (limit) => {
    const waits = 'the filling in of its config and the writing of its items included'
    const within = limit === 'used' ? `${timeoutMs} ms` : `${mostMs} ms, ${waits}`
    over.abort(new WorkflowError('timed_out', `the function did not end within ${within}`, { final: false }))
  })
  const leave = follow(over, stream === undefined ? [lost] : [lost, stream.continues])
  const { signal } = over
  let running: Promise<unknown> | null = null
  try {
    signal.throwIfAborted()
    // An expression may wait for those of others, in the process in which they run.
    const fill: ConfigTemplate = (...asked) => time.pauseFor(config(...asked))
    running = callFunction(fn, fill, hidden, {
      payload: job.payload,
      step,
      run: { id: job.runId, workflowId: job.step.workflowId },
      job: { id: job.id, revision: job.revision },
      attempt: job.attempt + 1,
      timeoutMs,
      cursor: stream === undefined ? null : job.cursor,
      signal,
      log,
      em,
      openSink: stream && outsideOf(time, stream.openSink),
      mostBytes: maxPayloadBytes,
    })
    // A function that ignores its signal still cannot hold the attempt open.
    return await Promise.race([running, rejection(signal)])
  } catch (error) {
    if (running !== null && signal.aborted) onRunsOn(running)
    throw error
  } finally {
    time.close()
    leave()
  }
}

/** A sink that stops the clock while a function waits for what it gave to be written, or for room to give more. */
const outsideOf =
  (time: TimeBudget, openSink: OpenSink): OpenSink =>
  (check) => {
    const sink = openSink(check)
    return {
      take: (items, cursor) => {
        const taken = sink.take(items, cursor)
        return taken && time.pauseFor(taken)
      },
      written: () => time.pauseFor(sink.written()),
      end: () => time.pauseFor(sink.end()),
    }
  }

const rejection = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })

const endingOf = (outcome: Outcome, job: HeldJob, means: AttemptMeans, errorOf: ErrorOf): Ending => {
  switch (outcome[outcomeMark]) {
    case 'retry':
      return retryOrFail(job, means, errorOf('attempt_failed', outcome.reason))
    case 'snooze':
      return {
        kind: 'requeued',
        attempt: job.attempt,
        delayMs: outcome.delayMs,
        error: outcome.reason === null ? null : errorOf('snoozed', outcome.reason),
      }
    case 'fail':
      return { kind: 'failed', error: errorOf('attempt_failed', outcome.reason) }
  }
}

const retryOrFail = (job: HeldJob, { fn, random }: AttemptMeans, error: JobError): Ending =>
  tryAgain(nextTryOf(job, fn, random), error)

/** What a function wrote will not be taken the next time either. Only the first line: the others have values in them. */
const refusalOf = (error: unknown, errorOf: ErrorOf): JobError =>
  errorOf('write_refused', `what the function wrote is refused: ${reasonOf(error).split('\n')[0] ?? ''}`)

const isFinal = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'final' in error && error.final === true

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'attempt_failed'
