import { setTimeout as pause } from 'node:timers/promises'
import { contextAt, withAttributes } from '@esteira/service/trace'
import { type Log, reasonOf, type Running } from '@esteira/service'
import { context, trace } from '@opentelemetry/api'
import { endSession } from '../../database/end-session.ts'
import { isTransientHere } from '../../database/is-transient.ts'
import { openOrm } from '../../database/open-orm.ts'
import { WorkflowError } from '../../errors.ts'
import { type StepFunction, timeoutOf } from '../../function/define-function.ts'
import { nextTryOf } from '../../job/next-try.ts'
import type { By } from '../../job/unit/write-unit.ts'
import type { Secrets } from '../../secrets/read-secrets.ts'
import { attemptAttributes } from '../../trace/job-attributes.ts'
import { logOfJob } from '../../trace/log-of-job.ts'
import { tracer } from '../../trace/tracer.ts'
import { attemptJob, type AttemptMeans } from '../attempt.ts'
import { configCache } from '../caches.ts'
import { configOf } from '../deliver.ts'
import { createOwnUnits } from '../own-units.ts'
import { placesByName } from '../places.ts'
import { ownPoolSizeFor, ownUnitsAtOnce } from '../pools.ts'
import type { JobStream } from '../stream/job-stream.ts'
import { pageMemoryBytes } from '../stream/limits.ts'
import { createPageMemory } from '../stream/page-memory.ts'
import { streamOf } from '../stream/stream-of.ts'
import type { Answer, Asked, Said, Suspect } from './messages.ts'
import { type GivenPages, givePages } from './give-pages.ts'

type WardOptions = {
  functions: readonly StepFunction[]
  databaseUrl: string
  worker: string
  secrets: Secrets
  maxPayloadBytes: number
  log: Log
}

/** How often it says that it lives, milliseconds. */
const signMs = 250

const databasePauseMs = 500

/** When its worker is gone, what still runs here is nobody's: milliseconds until this process is killed. */
const goneMs = 3_000

/**
 * Makes this process a ward: it attempts the jobs that its worker gives it, side by side, and tells what came of them. It
 * ends when the worker lets it go or is gone, whatever its functions do.
 */
export const serveWard = (options: WardOptions): Required<Running> => {
  const functions = new Map(options.functions.map((fn) => [fn.name, fn]))
  const aborts = new Map<number, AbortController>()
  const givers = new Map<number, GivenPages>()
  const gone = Promise.withResolvers<number>()
  const own = options.functions.some(({ unit }) => unit === 'own') ? openOwnUnits(options) : null
  const configs = { configOf: configCache() }
  const pageMemory = createPageMemory(pageMemoryBytes())

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
      opened = streamOf(fn, pages, { ...options, ...stream, pageMemory })
      return opened
    }
    const attempted = (fn: StepFunction, em?: AttemptMeans['em']) =>
      say({ kind: 'begun', id }).then(() =>
        attemptJob(suspect.job, {
          ...options,
          fn,
          config: configOf(suspect.job, fn, configs),
          log: logOfJob(options.log, suspect.place),
          lost: abort.signal,
          random: Math.random,
          onRunsOn,
          stream: streamFor(fn),
          ...(em && { em }),
        }),
      )
    const answer = async (): Promise<Answer> => {
      const fn = functions.get(suspect.job.functionName)
      if (fn === undefined) throw new Error(`the ward has no function ${suspect.job.functionName}`)
      if (fn.unit === 'own' && own !== null) {
        return own.attempt(suspect, fn, by, abort.signal, async (em) => {
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

  process.on('message', (asked: Asked) => {
    switch (asked.kind) {
      case 'attempt':
        return void attempt(asked)
      case 'taken':
        return givers.get(asked.id)?.taken(asked.taken)
      case 'abort':
        aborts.get(asked.id)?.abort(new WorkflowError(asked.code, asked.reason, { final: false }))
    }
  })
  process.on('uncaughtExceptionMonitor', (error) => {
    // Its text may hold a secret.
    void say({ kind: 'uncaught', name: error instanceof Error ? error.name : typeof error })
  })
  process.on('disconnect', () => {
    for (const abort of aborts.values()) abort.abort(new Error('the worker is gone'))
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), goneMs).unref()
    gone.resolve(0)
  })
  const signs = setInterval(() => void say({ kind: 'alive' }), signMs)
  void say({ kind: 'ready' })
  return {
    ended: gone.promise,
    stop: async () => {
      clearInterval(signs)
      await own?.close()
    },
  }
}

/** With the callback the text has left this process: it is heard even if the next line ends it. */
const say = (said: Said): Promise<void> =>
  new Promise((resolve) => process.send?.(said, undefined, undefined, () => resolve()))

/** A span of its own, beneath that of the processing, in which those of the function begin. */
const inSpanOf = <T>({ job, place }: Suspect, work: () => Promise<T>): Promise<T> => {
  const parent = withAttributes(contextAt(place), attemptAttributes(job))
  const span = tracer.startSpan(`apart ${job.functionName}`, {}, parent)
  return context.with(trace.setSpan(parent, span), work).finally(() => span.end())
}

/** Tries again for as long as the job is wanted and the database is only away. */
const untilDone =
  (signal: AbortSignal) =>
  async <T>(work: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!isTransientHere(error) || signal.aborted) throw error
        await pause(databasePauseMs * (1 + Math.random()))
      }
    }
  }

/** Units of work for functions that have their own, written from here. */
const openOwnUnits = ({ functions, databaseUrl, worker }: WardOptions) => {
  const known = functions.flatMap(({ entities }) => entities)
  const common = { databaseUrl, applicationName: `${worker} (ward)` }
  const orm = openOrm({ ...common, poolSize: ownPoolSizeFor(functions), known })
  const endOrm = openOrm({ ...common, poolSize: 1 })
  const placesOf = placesByName(ownUnitsAtOnce)

  return {
    attempt: async (
      { job, place }: Suspect,
      fn: StepFunction,
      by: By,
      signal: AbortSignal,
      attempt: Parameters<ReturnType<typeof createOwnUnits>>[2],
    ): Promise<Answer> => {
      const toSettle: string[] = []
      const units = createOwnUnits({
        orm,
        atOnce: ownUnitsAtOnce,
        by,
        untilDone: untilDone(signal),
        endSession: (pid) => endSession(endOrm.em.fork(), pid),
        onWritten: (written) => {
          for (const span of written.created) span.end()
          toSettle.push(...written.toSettle)
        },
      })
      const held = { job, place, nextTry: nextTryOf(job, fn, Math.random) }
      const fate = await placesOf(fn.name)(() => units(held, timeoutOf(fn, job.step), attempt))
      return fate.kind === 'lost' ? fate : { ...fate, toSettle }
    },
    close: () => Promise.all([orm.close(), endOrm.close()]),
  }
}
