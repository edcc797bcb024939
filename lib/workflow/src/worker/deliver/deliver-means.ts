import { setTimeout as pause } from 'node:timers/promises'
import { reasonOf } from '@esteira/service'
import type { EntityManager } from '@mikro-orm/postgresql'
import { isLockedOut, isTransientHere } from '../../database/is-transient.ts'
import { endSession } from '../../database/end-session.ts'
import { maxTimeoutMs } from '../../function/define-function.ts'
import { beatJobs } from '../../job/beat-jobs.ts'
import { claimJobs } from '../../job/claim-jobs.ts'
import { findJobs } from '../../job/find-jobs.ts'
import { type FinishedJob, type JobOnBelt, placedOf } from '../../job/held-job.ts'
import { defaultMaxPayloadBytes, placedBytes } from '../../payload/payload-limit.ts'
import { type HeldDelivery, sendLater } from '../../job/send-later.ts'
import { readPayloads } from '../../job/read-payloads.ts'
import { limitLockWaits } from '../../job/unit/limit-lock-waits.ts'
import { lockFirst } from '../../job/unit/lock-first.ts'
import { type Lockable, lockedAmong } from '../../job/unit/locked-among.ts'
import { writeUnit, type Written } from '../../job/unit/write-unit.ts'
import { loadSteps } from '../../run/load-steps.ts'
import { lockedRuns } from '../../run/settle/locked-runs.ts'
import { settle } from '../../run/settle/settle.ts'
import { defaultWindow } from '../../job/unit/window.ts'
import { inCommitSpans } from '../commit/commit-spans.ts'
import { watchAbandoned } from '../attempt/abandoned.ts'
import { createAskTogether } from '../commit/ask-together.ts'
import { createBeats } from '../hold/beats.ts'
import { bringPayloads, type LeftPayload } from './bring-payload.ts'
import { isOfMoment } from '../commit/blame.ts'
import { configCache, stepCache } from '../attempt/caches.ts'
import { claimFree, type ClaimOnBelt, createPatientClaim } from '../hold/claim-patiently.ts'
import { commitGroup, type GroupFate } from '../commit/commit-group.ts'
import { createPatientCommit, heldLocked } from '../commit/commit-patiently.ts'
import type { DeliverMeans } from './deliver.ts'
import { gather, gatherApart, type GatherOptions, type Tell } from '../../gather/gather.ts'
import { createJobWaits } from '../hold/job-waits.ts'
import { createLockWaits } from '../hold/lock-waits.ts'
import { createOwnUnits } from '../commit/own-units.ts'
import { groupsAtOnce, ownUnitsAtOnce, type Pools } from '../pools.ts'
import { createSettling } from './settle-hints.ts'
import { defaultContinueMs, defaultPageItems, pageMemoryBytes } from '../stream/limits.ts'
import { createPageMemory } from '../stream/page-memory.ts'
import { createPageWrites } from '../stream/page-writes.ts'
import { openWard } from '../suspect/ward.ts'
import { wardSuspects } from '../suspect/ward-suspects.ts'
import type { WorkerOptions } from '../worker-options.ts'

/** A group is one statement: large enough to be cheap, small enough that a failing one is split soon. */
const groupSize = 200

/** Results of a group: some four of the largest. All of it is in memory several times, here and in Postgres. */
const groupBytes = 4 * 1024 * 1024

/**
 * The memory of the large payloads of a function at a time. Results are as many again, at most. What JSONata makes of them
 * for a config counts nowhere: how much it is, is known when it is there.
 */
const roomBytes = 32 * 1024 * 1024

/**
 * So long does a job wait for room for its payload, milliseconds. Together with the longest timeout it is below the half hour
 * after which RabbitMQ takes a delivery back.
 */
const defaultRoomWaitMs = 3 * 60_000

/**
 * So long may a delivery last whose job waits for somebody's locks with its end, milliseconds: two minutes below that half
 * hour, in which the job is put off.
 */
const defaultLockPatienceMs = 28 * 60_000

/** With a page it is less: a minute below the longest timeout. */
const pagePatienceMs = maxTimeoutMs - 60_000

const databasePauseMs = 500

const pauseForDatabase = () => pause(databasePauseMs * (1 + Math.random()))

/** A run that somebody holds locked is waited for by the groups of its functions, and by no others. */
const functionOf = ({ job }: { job: JobOnBelt }): string => job.functionName

const commitGroups: GatherOptions<FinishedJob> = {
  most: groupSize,
  mostBytes: groupBytes,
  bytesOf: ({ ending }) => {
    const placed = placedOf(ending)
    return placed === null ? 0 : placedBytes(placed)
  },
  atOnce: groupsAtOnce,
  // A job whose message came twice: the later end waits here, not for a lock in Postgres.
  keyOf: ({ job }) => job.id,
}

const loadGroups = { most: groupSize, atOnce: groupsAtOnce }

const payloadGroups: GatherOptions<LeftPayload> = {
  ...loadGroups,
  mostBytes: groupBytes,
  bytesOf: ({ bytes }) => bytes,
}

/** A run to be waited for, whatever jobs it has: no job has its id. */
const runAlone = (runId: string): Lockable => ({ id: runId, runId })

/**
 * What the deliveries of a worker need; `hint` for runs that may be settled by what was written elsewhere, `settled` for when
 * no run waits for a hint any more, and `stopWaiting` so that nothing waits for what somebody holds locked, or for its turn.
 */
export const deliverMeans = (
  { orm, beatOrm, ownOrm, besideOrm }: Pools,
  lane: number,
  {
    worker,
    prefetch,
    log,
    secrets,
    maxPayloadBytes = defaultMaxPayloadBytes,
    observe,
    window = defaultWindow,
    pageItems = defaultPageItems,
    continueMs = defaultContinueMs,
    roomWaitMs = defaultRoomWaitMs,
    lockPatienceMs = defaultLockPatienceMs,
    ward,
  }: WorkerOptions,
  stopped: AbortSignal,
): {
  means: DeliverMeans
  settled: () => Promise<void>
  hint: (runIds: readonly string[]) => void
  stopWaiting: () => void
} => {
  const untilDone = async <T>(work: () => Promise<T>, mayPass = isTransientHere): Promise<T> => {
    for (;;) {
      // MikroORM would open a pool anew that nobody closes.
      stopped.throwIfAborted()
      try {
        return await work()
      } catch (error) {
        // A message is never acked without its commit, so there is nothing better to do than to try again.
        if (!mayPass(error) || stopped.aborted) throw error
        observe({ kind: 'database.unavailable', reason: error instanceof Error ? error.message : String(error) })
        await pauseForDatabase()
      }
    }
  }
  const askTogether = createAskTogether({
    untilDone,
    onCutShort: (jobs, error) => observe({ kind: 'load.cut-short', jobs, reason: reasonOf(error) }),
    pause: pauseForDatabase,
  })
  const lookForLocks = (jobs: readonly Lockable[]) => untilDone(() => lockedAmong(orm.em.fork(), jobs))
  const leaving = new AbortController()
  const locks = createLockWaits({ lockedAmong: lookForLocks, pause: pauseForDatabase })
  // Apart from those of commits: these need less of a run, and would wait for it as well.
  const lookForLockedRuns = (runIds: readonly string[]) => untilDone(() => lockedRuns(orm.em.fork(), runIds))
  const lockedRunWaits = createLockWaits({
    lockedAmong: (runs) => lookForLockedRuns(runs.map(({ runId }) => runId)),
    pause: pauseForDatabase,
  })
  const settling = createSettling({
    most: groupSize,
    settle: (runIds) =>
      untilDone(
        () => settle(orm.em.fork(), runIds, { lane, window, limitsWaits: true }),
        (error) => isTransientHere(error) && !isLockedOut(error),
      ),
    lockedAmong: lookForLockedRuns,
    untilFree: (runId) => lockedRunWaits.untilFree(runAlone(runId), runId),
    pause: pauseForDatabase,
    observe,
  })
  const onWritten = ({ created, toSettle }: Omit<Written, 'won'>): void => {
    for (const span of created) span.end()
    settling.hint(toSettle)
  }
  const writeIn =
    (lock: typeof lockFirst | null) =>
    async (ends: readonly FinishedJob[]): Promise<ReadonlySet<FinishedJob>> => {
      const writeEnds = async (em: EntityManager): Promise<Written> => {
        await limitLockWaits(em)
        await lock?.(
          em,
          ends.map(({ job }) => job),
        )
        return writeUnit(em, { ends }, { worker, lane, window })
      }
      const written = await untilDone(() => orm.em.fork().transactional(writeEnds), isOfMoment)
      onWritten(written)
      return written.won
    }
  const [write, writeLocked] = [writeIn(null), writeIn(lockFirst)]
  const inGroup = gatherApart(functionOf, commitGroups, (group, tell: Tell<GroupFate>) =>
    inCommitSpans(group, () =>
      commitGroup(group, {
        write,
        writeLocked,
        lockedAmong: lookForLocks,
        observe,
        pause: pauseForDatabase,
        tell,
        stopped,
      }),
    ),
  )
  const claimIn = (claims: readonly ClaimOnBelt[]) => async (em: EntityManager) => {
    await limitLockWaits(em)
    return claimJobs(em, claims, worker)
  }
  const pageMemory = createPageMemory(pageMemoryBytes())
  // Where a function has one place, none waits in it for long.
  const waits = createJobWaits({ locks, mostWaiting: Math.floor(prefetch / 2), memory: pageMemory })
  const onHeld = () => observe({ kind: 'commit.held-up', jobs: 1, reason: heldLocked })
  const claim = createPatientClaim({
    inGroup: askTogether(
      (flush) => gatherApart(functionOf, loadGroups, flush),
      claimFree((claims) => orm.em.fork().transactional(claimIn(claims)), lookForLocks),
    ),
    waits,
    patienceMs: Math.min(lockPatienceMs, pagePatienceMs),
    onHeld,
  })
  const means: DeliverMeans = {
    orm,
    worker,
    log,
    secrets,
    untilDone,
    random: Math.random,
    maxPayloadBytes,
    pageItems,
    pageMemory,
    continueMs,
    stopped,
    stepOf: stepCache((workflowId, version) => untilDone(() => loadSteps(orm.em.fork(), workflowId, version))),
    configOf: configCache(),
    abandoned: watchAbandoned({ most: prefetch, observe }),
    beats: createBeats({ send: (beats) => beatJobs(beatOrm.em.fork(), beats, worker), observe, stopped }),
    find: askTogether(
      (flush) => gather(loadGroups, flush),
      (ids: readonly string[]) => findJobs(orm.em.fork(), ids),
    ),
    bring: bringPayloads({
      roomBytes,
      patienceMs: roomWaitMs,
      read: askTogether(
        (flush) => gather(payloadGroups, flush),
        async (left: readonly LeftPayload[]) => {
          const payloads = await readPayloads(
            orm.em.fork(),
            left.map(({ id }) => id),
          )
          return new Map(left.map((one) => [one, payloads.get(one.id)]))
        },
      ),
    }),
    ownUnits: createOwnUnits({
      leaving: leaving.signal,
      ownOrm,
      besideOrm,
      atOnce: ownUnitsAtOnce,
      by: { worker, lane, window },
      untilDone,
      endSession: (pid) => endSession(beatOrm.em.fork(), pid),
      untilFree: (job, lock, mostMs) => {
        onHeld()
        return waits.untilFree(job, lock, performance.now() + mostMs)
      },
      onWritten,
    }),
    pages: createPageWrites({
      orm,
      by: { worker, lane, window },
      atOnce: groupsAtOnce,
      untilDone,
      waits,
      onHeldUp: async (job, error) => {
        observe({ kind: 'commit.held-up', jobs: 1, reason: reasonOf(error) })
        const locked = await lookForLocks([job])
        return locked.has(job.runId) ? job.runId : job.id
      },
      patienceMs: Math.min(lockPatienceMs, pagePatienceMs),
      onGivenUp: async (error) => {
        observe({ kind: 'commit.cut-short', jobs: 1, reason: reasonOf(error) })
        await pauseForDatabase()
      },
      onWritten,
    }),
    suspects:
      ward === undefined
        ? null
        : wardSuspects(
            (hooks) => openWard(ward.program, ward, { worker, lane, window }, hooks),
            settling.hint,
            observe,
          ),
    claim,
    commit: createPatientCommit({ inGroup, waits, patienceMs: lockPatienceMs }),
    isHeldBack: waits.isHeldBack,
    onHeld,
    isLocked: gather(loadGroups, async (jobs: readonly Lockable[]) => {
      const locked = await lookForLocks(jobs)
      return jobs.map(({ id }) => locked.has(id))
    }),
    sendLater: gather(loadGroups, async (held: readonly HeldDelivery[]) => {
      await untilDone(() => orm.em.fork().transactional((em) => sendLater(em, held, lane)))
      return held.map(() => undefined)
    }),
  }
  const stopWaiting = () => {
    leaving.abort()
    means.suspects?.stopWaiting()
    locks.stop()
    lockedRunWaits.stop()
  }
  return { means, settled: settling.done, hint: settling.hint, stopWaiting }
}
