import { contextAt, withAttributes } from '@esteira/service/trace'
import { type Log, reasonOf } from '@esteira/service'
import { context, trace } from '@opentelemetry/api'
import type { ConfigTemplate } from '../../config/resolve-config.ts'
import { WorkflowError } from '../../errors.ts'
import type { StepFunction } from '../../function/define-function.ts'
import type { Secrets } from '../../secrets/read-secrets.ts'
import { attemptAttributes } from '../../trace/job-attributes.ts'
import { logOfJob } from '../../trace/log-of-job.ts'
import { tracer } from '../../trace/tracer.ts'
import { attemptJob, type AttemptMeans } from '../attempt/attempt.ts'
import { configCache } from '../attempt/caches.ts'
import { configOf } from '../deliver/deliver.ts'
import type { JobStream } from '../stream/job-stream.ts'
import { pageMemoryBytes } from '../stream/limits.ts'
import { createPageMemory } from '../stream/page-memory.ts'
import { streamOf } from '../stream/stream-of.ts'
import type { Answer, Asked, Said, Suspect } from './messages.ts'
import { type GivenPages, givePages } from './give-pages.ts'
import type { WardUnits } from './ward-units.ts'

type WardAttemptOptions = {
  functionOf: (suspect: Suspect) => StepFunction | undefined
  /** For functions with a unit of work of their own; null where there are none. */
  units: Pick<WardUnits, 'attempt' | 'stopWaiting'> | null
  secrets: Secrets
  maxPayloadBytes: number
  pageAgeMs?: number
  log: Log
  /** Tells the worker; resolves when what is told has left, whatever becomes of this process. */
  say: (said: Said) => Promise<void>
}

export type WardAttempts = {
  /** Does what the worker asks for. */
  hear: (asked: Asked) => void
  /** Aborts the signals of all functions at work. */
  abort: (reason: Error) => void
}

/** Attempts the jobs that a worker gives its ward, side by side, and tells what came of them. */
export const createWardAttempts = ({ functionOf, units, say, ...means }: WardAttemptOptions): WardAttempts => {
  const aborts = new Map<number, AbortController>()
  const givers = new Map<number, GivenPages>()
  const configs = { configOf: configCache() }
  const pageMemory = createPageMemory(pageMemoryBytes())

  /** Its function has all of its time from then on, as in a worker. */
  const toldWhenFilled =
    (id: number, config: ConfigTemplate): ConfigTemplate =>
    async (...asked) => {
      const filled = await config(...asked)
      await say({ kind: 'filled', id })
      return filled
    }

  const attempt = async ({ id, suspect, by }: Extract<Asked, { kind: 'attempt' }>): Promise<void> => {
    const abort = new AbortController()
    aborts.set(id, abort)
    let runsOn = false
    const onRunsOn = () => {
      runsOn = true
    }
    let opened: JobStream | undefined
    const streamFor = (fn: StepFunction) => {
      const { job, stream } = suspect
      if (stream === null || job.step.next === null) return undefined
      const { isResumable } = fn
      const pages = givePages({
        first: job,
        next: job.step.next,
        isResumable,
        say: (given) => void say({ kind: 'gave', id, given }),
      })
      givers.set(id, pages)
      opened = streamOf(fn, pages, { ...means, ...stream, pageMemory })
      return opened
    }
    const attempted = (fn: StepFunction, em?: AttemptMeans['em']) =>
      say({ kind: 'begun', id }).then(() =>
        attemptJob(suspect.job, {
          ...means,
          fn,
          config: toldWhenFilled(id, configOf(suspect.job, fn, configs)),
          log: logOfJob(means.log, suspect.place),
          lost: abort.signal,
          random: Math.random,
          onRunsOn,
          stream: streamFor(fn),
          ...(em && { em }),
        }),
      )
    const answer = async (): Promise<Answer> => {
      const fn = functionOf(suspect)
      if (fn === undefined) throw new Error(`the ward has no function ${suspect.job.functionName}`)
      if (fn.unit === 'own' && units !== null) {
        return units.attempt(suspect, fn, by, abort.signal, async (em) => {
          const ending = await attempted(fn, em)
          await say({ kind: 'called', id })
          return { ending, runsOn }
        })
      }
      const begun = performance.now()
      const ending = await attempted(fn)
      return { kind: 'ended', ending, elapsedMs: performance.now() - begun }
    }
    const answered = await inSpanOf(suspect, answer).catch((error: unknown): Answer => {
      return { kind: 'broken', reason: reasonOf(error) }
    })
    aborts.delete(id)
    givers.delete(id)
    await say({ kind: 'answer', id, answer: answered, runsOn })
    opened?.leave()
  }

  return {
    hear: (asked) => {
      switch (asked.kind) {
        case 'attempt':
          return void attempt(asked)
        case 'taken':
          return givers.get(asked.id)?.taken(asked.taken)
        case 'abort':
          aborts.get(asked.id)?.abort(new WorkflowError(asked.code, asked.reason, { final: false }))
          break
        case 'stop-waiting':
          units?.stopWaiting()
      }
    },
    abort: (reason) => {
      for (const abort of aborts.values()) abort.abort(reason)
    },
  }
}

/** A span of its own, beneath that of the processing, in which those of the function begin. */
const inSpanOf = <T>({ job, place }: Suspect, work: () => Promise<T>): Promise<T> => {
  const parent = withAttributes(contextAt(place), attemptAttributes(job))
  const span = tracer.startSpan(`apart ${job.functionName}`, {}, parent)
  return context.with(trace.setSpan(parent, span), work).finally(() => span.end())
}
