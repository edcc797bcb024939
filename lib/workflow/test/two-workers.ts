import { registerLane, queryable } from '@esteira/outbox'
import { cloneDatabase } from '@esteira/test/support'
import {
  carryOnCancels,
  cancelJob,
  cancelRun,
  dropHiddenPages,
  dropItemKeys,
  releaseWaitingJobs,
  retryRun,
  sendAgain,
  settleWaitingRuns,
} from '../src/index.ts'
import { openOrm } from '../src/database/open-orm.ts'
import { beatJobs } from '../src/job/beat-jobs.ts'
import { noteSeen } from '../src/probe/note-seen.ts'
import { probeQueues } from '../src/probe/probe-queues.ts'
import type { ProbeTimes } from '../src/probe/probe-times.ts'
import type { Beating } from '../src/worker/hold/beats.ts'
import { deliver } from '../src/worker/deliver/deliver.ts'
import type { Delivered } from '../src/worker/deliver/finish.ts'
import { openPools, type Pools } from '../src/worker/pools.ts'
import type { WorkerOptions } from '../src/worker/worker-options.ts'
import { type Attempt, isSuspect } from './attempt-of-two.ts'
import { beginRunOfTwo } from './begin-run-of-two.ts'
import { openConservation } from './conservation.ts'
import { type Message, openRunRows, type Probe } from './run-rows.ts'
import { steerAttempts } from './steer-attempts.ts'
import { openStrikes } from './strikes.ts'
import { type FirstFunction, isContinued, ownName, type Told, toldFunction, toldFunctions } from './told-functions.ts'
import { unitsName, watchUnits } from './told-units.ts'
import type { Blow, DiedWith } from './told-ward.ts'
import { type ToldWorker, toldWorker } from './told-worker.ts'
import { workerOptions } from './worker-options.ts'

/** Jobs of a step on the belt, at most: few enough that some always wait. */
const window = 2

/** What the two have in a page at most: where one ends a page the other goes on. */
const pageItems = [3, 5]

/** So often does a job whose ward dies before it has begun wait for another one. */
const mostFalseStarts = 3

/** What is waited for in a probe is not time here, but that everything in hand has gone back. */
const noTimes: ProbeTimes = { waitsMs: 0, holdMs: 0, takesMs: 0, againMs: 0 }
const muchLaterMs = 3_600_000
const neverMs = 3_600_000

/** The name of both. */
const workerName = 'one of two'

/** More than are ever open: those of both, and of workers that are gone. */
const ownSessions = 24

/**
 * Two workers on one run, in everything as they are but for what is around them: the belt is a list, the relay moves
 * rows to it when it is told to, functions end when they are told to, and beats are sent when they are told to. So a
 * test decides what happens after what, and it happens at once.
 */
export const openTwoWorkers = async () => {
  const database = await cloneDatabase()
  const functions = toldFunctions(() => {})
  // What is around the workers has sessions of its own, which nothing ends.
  const orm = openOrm({ databaseUrl: database.url, poolSize: 4, applicationName: 'around the two' })
  const em = () => orm.em.fork()
  const query = async (text: string, values: unknown[] = []) => (await queryable(em()).query(text, values)).rows
  const strikes = await openStrikes(query, database.url, workerName)
  const options = workerOptions({ functions, databaseUrl: strikes.url, lane: 'belt', worker: workerName, window })
  const pools = openToldPools(options, database.url)
  const lane = await registerLane(queryable(em()), options.lane)
  await query('create table booking (job_id uuid not null)')

  /** One of the two. When it is killed another one takes its place, which knows nothing of what it did. */
  const startWorker = (which: number, continueMs: number): ToldWorker =>
    toldWorker(pools, lane, {
      ...options,
      pageItems: pageItems[which] ?? 1,
      continueMs,
      query,
      wardsUrl: database.url,
    })

  /** Begins a run whose first step gives the second its jobs. Nothing is left of those before it. */
  const beginRun = async (firstFunction: FirstFunction = 'split') => {
    const runId = await beginRunOfTwo({ query, em, lane, window }, firstFunction)
    return inRun(runId, isContinued(firstFunction) ? 0 : neverMs)
  }

  /** With `continueMs` of 0 a stream goes on in a new delivery as soon as it has given something. */
  const inRun = (runId: string, continueMs: number) => {
    const { jobs, takeMessages, ...rows } = openRunRows(query, runId)
    const belt: (Message | Probe)[] = []
    /** Deliveries that were in somebody's hand when a probe came out. */
    const inHandAtSight = new Set<Attempt>()
    const attempts: Attempt[] = []
    /** Of workers that were killed: what is left of a process that only looked dead. */
    const zombies: Attempt[] = []
    const workers: [ToldWorker, ToldWorker] = [startWorker(0, continueMs), startWorker(1, continueMs)]
    const everyWorker: ToldWorker[] = [...workers]
    const workerOf = new Map<Attempt, ToldWorker>()
    /** A worker may have two deliveries of one job in hand: what beats for an attempt is known by itself. */
    const beatingOf = new Map<Attempt, Beating>()
    const workerAt = (which: number): ToldWorker => (which % 2 === 0 ? workers[0] : workers[1])
    const units = watchUnits(query, everyWorker, () => settled())
    /** Jobs whose function ends its process when it begins. */
    const poison = new Set<string>()
    /** Attempts that had a ward to themselves when it died. */
    const diedAlone: Attempt[] = []
    const attemptsOf = (worker: ToldWorker): Attempt[] => attempts.filter((one) => workerOf.get(one) === worker)

    /** Runs of both are settled by hints that nobody waits for. */
    const settled = async (): Promise<void> => {
      await Promise.all(everyWorker.map((worker) => worker.settled()))
    }

    const forget = (attempt: Attempt, among = attempts): void => {
      const at = among.indexOf(attempt)
      if (at >= 0) among.splice(at, 1)
    }

    const giveBack = (attempt: Attempt): void => {
      const { message } = attempt
      if (attempt.attached) belt.push({ ...message, redelivered: true, deliveries: message.deliveries + 1 })
      attempt.attached = false
    }

    /** Waits for the end of an attempt whose function ended or heard that it is to. */
    const endOf = async (attempt: Attempt): Promise<Delivered> => {
      const delivered = await attempt.delivered
      if (delivered.kind === 'refused') giveBack(attempt)
      forget(attempt)
      return delivered
    }

    /** A function begins: in a ward or in its worker, as its message says. */
    const begins = (attempt: Attempt, told: Told): void => {
      if (attempt.isApart !== isSuspect(attempt.message)) units.fault('a function begins where it must not')
      if (!attempt.movesAlone) return attempt.begins(told)
      units.begun(attempt, told)
      if (attempt.isApart && poison.has(attempt.message.jobId)) workerOf.get(attempt)?.suspects.kill({ isOwn: true })
    }

    /** The ward in which it was attempted is dead. */
    const diesApart = (attempt: Attempt, { hasBegun, wasAlone, isOwn }: DiedWith): void => {
      if (!hasBegun) attempt.deaths.falseStarts += 1
      else if (wasAlone) attempt.deaths[isOwn ? 'own' : 'signals'] += 1
      if (hasBegun && wasAlone) diedAlone.push(attempt)
      units.moves(attempt)
    }

    return {
      runId,
      poison,
      diedAlone,
      belt,
      attempts,
      zombies,
      jobs,
      /** Nothing moves any more by itself. */
      settled: units.quiet,
      hasRoom: units.hasRoom,
      holds: units.holds,
      /** Deliveries whose job is found, and nothing more. */
      found: () => attempts.filter((attempt) => attempt.told === null && !units.isUnderWay(attempt)),
      /** Attempts whose function is at work in the ward of a worker. */
      apartAt: (which: number): Attempt[] =>
        attemptsOf(workerAt(which)).filter(({ isApart, told }) => isApart && told !== null),
      /** Whether a function is at work in a worker that ends its process. */
      isPoisoned: (which: number): boolean =>
        attemptsOf(workerAt(which)).some(({ told, message }) => told !== null && poison.has(message.jobId)),
      isUnderWay: (attempt: Attempt): boolean => units.isUnderWay(attempt),
      /** Whether nobody else is on the way to the end of the same job, or to its beginning. */
      isAlone: ({ message }: Attempt): boolean =>
        ![...attempts, ...zombies].some((one) => one.message.jobId === message.jobId && units.isUnderWay(one)),
      ...rows,
      ...openConservation(query),

      /** The relay publishes all that is written, also what is for later. */
      publish: async (): Promise<void> => void belt.push(...(await takeMessages())),

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

      /** A worker gets a message and finds its job, and nothing more. */
      find: async (which: number, message: Message): Promise<Attempt> => {
        const worker = workerAt(which)
        belt.splice(belt.indexOf(message), 1)
        const job = (await jobs()).get(message.jobId)
        const fn = functions.find(({ name }) => name === job?.functionName)
        if (job === undefined || fn === undefined) throw new Error(`there is no job ${message.jobId}`)
        const [found, going] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
        const begun = Promise.withResolvers<Told>()
        const told = toldFunction(fn.name, (one) => begins(attempt, one))
        const means = {
          ...worker.means,
          suspects: worker.suspects.of({ fn: told, died: (how) => diesApart(attempt, how) }, (beating) => {
            attempt.isApart = beating !== null
            if (beating === null) return
            beatingOf.set(attempt, beating)
            if (!attempt.isOwn) attempt.claim = () => beating.beat().claim
          }),
        }
        worker.holdFind({ found: found.resolve, goOn: going.promise })
        const reference = { jobId: message.jobId, seq: message.seq }
        const attempt: Attempt = {
          message,
          attached: true,
          isTakeover: message.redelivered || job.status === 'running',
          claim: () => job.claim,
          told: null,
          goOn: going.resolve,
          isOwn: fn.name === ownName,
          movesAlone: fn.name === ownName || isSuspect(message),
          isApart: false,
          deaths: { own: 0, signals: 0, falseStarts: 0 },
          begins: begun.resolve,
          begun: begun.promise,
          continues: isContinued(fn.name),
          delivered: deliver(
            told,
            { ...message, reference, putOffs: 0, receivedMs: performance.now() },
            means,
            () => {},
          ).catch((error: unknown): Delivered => {
            // Its ward died before it began, time and again: nothing is known of it, and its message goes back.
            if (attempt.deaths.falseStarts > mostFalseStarts) return { kind: 'refused' }
            throw error
          }),
        }
        attempts.push(attempt)
        workerOf.set(attempt, worker)
        if (attempt.movesAlone) {
          void units.watch(attempt, ({ kind }) => {
            if (kind === 'refused') giveBack(attempt)
            forget(attempt)
            forget(attempt, zombies)
          })
        }
        await found.promise
        return attempt
      },

      ...steerAttempts({ units, workerOf, beatingOf, endOf }),

      /** The ward of a worker dies in what is done, or at its end. */
      strikeWard: async (which: number, blow: Blow, act: () => Promise<void>): Promise<void> => {
        await workerAt(which).suspects.strike(blow, act)
        await units.quiet()
      },

      /** The server ends the session of a function, which goes on as if nothing were. */
      loseSession: units.loseSession,
      /** And the session of a group, in the middle of what it writes next; or its answer is lost. */
      strike: strikes.strike,
      unheard: strikes.unheard,

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
        const over = new Set<Beating | undefined>(
          beating.filter((_, at) => answers[at]?.isOurs !== true || answers[at].isCancelled),
        )
        const ended = attemptsOf(worker).filter((attempt) => over.has(beatingOf.get(attempt)))
        for (const attempt of ended) if (attempt.movesAlone) units.moves(attempt)
        for (const attempt of ended) if (!attempt.movesAlone) await endOf(attempt)
        await units.quiet()
      },

      /** The broker takes a worker for gone, and has its messages back; its functions are still at work. */
      loseBroker: (which: number): void => {
        for (const attempt of attemptsOf(workerAt(which))) giveBack(attempt)
      },

      kill: async (which: number): Promise<void> => {
        const worker = workerAt(which)
        const killed = attemptsOf(worker)
        for (const attempt of killed) {
          giveBack(attempt)
          forget(attempt)
          // Its ward ends with a worker.
          if (attempt.isApart) units.drop(attempt)
          else zombies.push(attempt)
        }
        worker.suspects.die()
        workers[which % 2] = startWorker(which % 2, continueMs)
        everyWorker.push(workerAt(which))
        await units.die(killed.filter(({ isOwn, isApart }) => isOwn && !isApart))
      },

      cancel: () => cancelRun(em(), runId),
      cancelOne: (jobId: string) => cancelJob(em(), jobId),
      retry: (jobId: string, change?: { payload: unknown }) => sendAgain(em(), jobId, { lane, window }, change),
      retryAll: () => retryRun(em(), runId, { lane, window }),
      /** The duties of the control plane. */
      sweep: async (): Promise<void> => {
        await carryOnCancels(em())
        await releaseWaitingJobs(em(), { lane, window })
        await settleWaitingRuns(em(), 100)
        await dropHiddenPages(em())
        await dropItemKeys(em())
      },
    }
  }

  return {
    beginRun,
    close: async () => {
      await Promise.all([pools.close(), orm.close()])
      await strikes.close()
      await database.drop()
    },
  }
}

/** Those of a worker, of which the sessions with units of work can be told from the others, and are not struck with them. */
const openToldPools = (options: WorkerOptions, databaseUrl: string): Pools => {
  const pools = openPools(options, new AbortController().signal)
  const told = { databaseUrl, poolSize: ownSessions, applicationName: unitsName }
  const [ownOrm, besideOrm] = [openOrm(told), openOrm(told)]
  const close = async () => {
    await Promise.all([ownOrm.close(), besideOrm.close()])
    await pools.close()
  }
  return { ...pools, ownOrm, besideOrm, close }
}

export type TwoWorkers = Awaited<ReturnType<typeof openTwoWorkers>>
export type RunOfTwo = Awaited<ReturnType<TwoWorkers['beginRun']>>
