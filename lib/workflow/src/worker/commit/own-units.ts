import { queryable } from '@esteira/outbox'
import type { EntityManager, MikroORM } from '@mikro-orm/postgresql'
import { databaseErrorOf, isLockedOut, isSessionLost, isTransientHere, readOnly } from '../../database/is-transient.ts'
import { jobError } from '../../job/job-error.ts'
import type { Ending, FinishedJob, JobOnBelt } from '../../job/held-job.ts'
import { lockJob, takeBack } from '../../job/lock-job.ts'
import { markRunning } from '../../job/mark-running.ts'
import { limitLockWaits } from '../../job/unit/limit-lock-waits.ts'
import { type By, writeUnit, type Written } from '../../job/unit/write-unit.ts'
import { inCommitSpans } from './commit-spans.ts'
import { blameFor } from './blame.ts'
import { cutShort, type Fate, rejected } from './commit-group.ts'
import { putOffForLock } from './commit-patiently.ts'
import { hearAbort } from '../attempt/hear-abort.ts'
import { placesByName } from '../attempt/places.ts'

/** An attempt that was made with an entity manager. `runsOn`: it is over, but its function still uses that. */
export type OwnAttempt = { ending: Ending; runsOn: boolean }

/**
 * What became of a job: a success was written, or it was lost; any other end is still to be written, like anybody's. Or it was
 * not attempted, since somebody holds its row.
 */
export type OwnFate = Exclude<Fate, { kind: 'refused' }> | { kind: 'ended'; finished: FinishedJob } | { kind: 'held' }

/** Attempts a job in a unit of work of its own, and says what became of it. */
export type OwnUnits = (
  held: Pick<FinishedJob, 'job' | 'place' | 'nextTry'>,
  timeoutMs: number,
  attempt: (em: EntityManager) => Promise<OwnAttempt>,
) => Promise<OwnFate>

type OwnUnitOptions = {
  /** With the entities of the functions, and a pool of its own: a session stays with its function for as long as that runs. */
  ownOrm: MikroORM
  /** That a job runs is written beside its unit of work, over sessions that no function ever had. */
  besideOrm: MikroORM
  /** Units of work of a function at a time. */
  atOnce: number
  by: By
  untilDone: <T>(work: () => Promise<T>) => Promise<T>
  /** Ends a session of the server, whatever it is doing; gives what tells that it was lost before, else null. */
  endSession: (pid: number) => Promise<Error | null>
  /** Resolves to true when this, the job or its run, is locked no more; to false when that takes longer, milliseconds. */
  untilFree: (job: JobOnBelt, lock: string, mostMs: number) => Promise<boolean>
  /** Hears of what was committed. */
  onWritten: (written: Written) => void
  /** Aborted when no job is to begin any more, as the worker is asked to stop. */
  leaving: AbortSignal
}

/**
 * So often in a row may a session be lost under a job until that counts as one of its attempts: Postgres may be restarting,
 * or the function is what ends it.
 */
const mostLosses = 3

/** So long is a transaction kept whose result waits for the counters of its run, milliseconds: it has a place, and locks. */
const heldMs = 10_000

/** The server gives up a transaction whose worker did not, since it is frozen or cut off: milliseconds after its time. */
const graceMs = 5_000

/**
 * Attempts jobs in a unit of work each: a transaction that begins with the compare-and-set on the job, in which the
 * function writes rows of its own, and that ends with the job's outcome. So both are there exactly once, or neither is.
 * Only a success is written there. Whatever else an attempt ends with is given to be written when the transaction has been
 * rolled back; its session is ended before when the function still uses it, so that nothing it does later can be written.
 * When its session was lost meanwhile it is made again, as if it had not been.
 *
 * Where a result waits for the counters of its run for too long the transaction is given up and its job put off, which burns
 * no attempt. Where the row of the job itself is held, nothing can be written of it.
 */
export const createOwnUnits = (options: OwnUnitOptions): OwnUnits => {
  const { ownOrm, besideOrm, by, untilDone, endSession, untilFree, onWritten, leaving } = options
  // A slow function fills its own places, and holds up no other.
  const placesOf = placesByName(options.atOnce)

  const write = async (em: EntityManager, finished: FinishedJob): Promise<Written | null> => {
    const written = await writeUnit(em, { ends: [finished] }, by)
    return written.won.has(finished) ? written : null
  }

  /** A session that waits for a job is ended at a stop: nobody but the server can end a wait there. */
  const endAtStop = (pid: number) => {
    const ended: Promise<unknown>[] = []
    const endHearing = hearAbort(leaving, () => void ended.push(endSession(pid)))
    return async (): Promise<void> => {
      endHearing()
      await Promise.all(ended)
    }
  }

  /** Locks a job unless somebody holds it for long, or until its worker is asked to stop: its function does not begin then. */
  const lockUnlessHeld = async (em: EntityManager, job: JobOnBelt, mostMs: number) => {
    try {
      const lock = await lockJob(queryable(em), job, mostMs, endAtStop)
      // It may have been free in the moment in which its session was to end.
      return lock !== null && leaving.aborted ? 'held' : lock
    } catch (error) {
      if (isLockedOut(error) || leaving.aborted) return 'held'
      throw error
    }
  }

  /** Writes it in the transaction; null when the job was lost. What is held locked is waited for with all that is in that. */
  const writeUnlessHeld = async (em: EntityManager, finished: FinishedJob): Promise<Written | null | 'held'> => {
    const tx = queryable(em)
    const untilMs = performance.now() + heldMs
    for (;;) {
      await tx.query('savepoint esteira_end', [])
      try {
        await limitLockWaits(em)
        return await write(em, finished)
      } catch (error) {
        if (!isLockedOut(error)) throw error
        await tx.query('rollback to savepoint esteira_end', [])
        if (!(await untilFree(finished.job, finished.job.runId, untilMs - performance.now()))) return 'held'
      }
    }
  }

  /** Attempts the job, and writes a success; gives an end that is still to be written, null when the job was lost. */
  const attemptOnce = async ([held, timeoutMs, attempt]: Parameters<OwnUnits>, isForgiven: () => boolean) => {
    await markRunning(besideOrm.em.fork(), held.job, by.worker)
    // Begun by hand: `transactional` would put whatever the function sets off into this transaction.
    const em = ownOrm.em.fork()
    await em.begin()
    const unit = em.getTransactionContext()
    const begun = performance.now()
    try {
      const mostMs = timeoutMs + graceMs
      const lock = await lockUnlessHeld(em, held.job, mostMs)
      if (lock === null || lock === 'held') return lock
      const { ending, runsOn } = await attempt(em)
      const lost = runsOn ? await endSession(lock.pid) : null
      // It may be the loss that its time was up for. Nothing but the transaction, which nobody commits, is behind it.
      if (lost !== null && isSessionLost(lost) && ending.kind !== 'cancelled' && isForgiven()) throw lost
      const standing = await standingOf(em, lock.transaction, mostMs)
      const finished = {
        ...held,
        ending: standing.kind === 'left' ? leftUnit : ending,
        elapsedMs: performance.now() - begun,
      }
      if (standing.kind === 'lost' && !runsOn) {
        if (isForgiven()) throw standing.error
        return { finished: cutShort(finished, standing.error), isWritten: false }
      }
      if (finished.ending.kind !== 'succeeded') return { finished, isWritten: false }
      let isCommitting = false
      try {
        const written = await inCommitSpans([finished], async () => {
          const won = await writeUnlessHeld(em, finished)
          if (won === null || won === 'held') return won
          isCommitting = true
          await commit(em)
          return won
        })
        if (written === null) return null
        if (written === 'held') return { finished: { ...finished, ending: putOffForLock(held.job) }, isWritten: false }
        onWritten(written)
        return { finished, isWritten: true }
      } catch (error) {
        // Its function would have to run again for another try: that is one of its attempts.
        if (blameFor(error) === 'cut short') return { finished: cutShort(finished, error), isWritten: false }
        if (isSessionLost(error)) {
          // The commit may have come through all the same: then the job is over, and whatever is written next is not.
          if (isForgiven()) throw error
          return { finished: cutShort(finished, error), isWritten: false }
        }
        if (!(isCommitting ? isOfCommit(error) : isOfWrite(error))) throw error
        return { finished: rejected(finished, error), isWritten: false }
      }
    } finally {
      await rollBack(em)
      // Also where the function has left it by itself.
      em.setTransactionContext(unit)
    }
  }

  const attemptInPlace = async (...attempt: Parameters<OwnUnits>): Promise<OwnFate> => {
    let losses = 0
    const isForgiven = (): boolean => (losses += 1) < mostLosses
    const attempted = await untilDone(() => attemptOnce(attempt, isForgiven))
    if (attempted === null) return { kind: 'lost' }
    if (attempted === 'held') return { kind: 'held' }
    const { finished, isWritten } = attempted
    return isWritten ? { kind: 'written', ending: finished.ending } : { kind: 'ended', finished }
  }

  return async (...attempt) => {
    const [held] = attempt
    // Who stands in line for a place goes at once, and not when it would be his turn: by then the grace period may be over.
    let hasBegun = false
    const inPlace = placesOf(held.job.functionName)(async () => {
      if (leaving.aborted) return leftInLine(held)
      hasBegun = true
      return attemptInPlace(...attempt)
    })
    const left = Promise.withResolvers<OwnFate>()
    const endHearing = hearAbort(leaving, () => {
      if (!hasBegun) left.resolve(leftInLine(held))
    })
    try {
      return await Promise.race([inPlace, left.promise])
    } finally {
      endHearing()
    }
  }
}

/** It gets a new message, for the next worker: the one that it has would count as handed out once more. */
const leftInLine = (held: Parameters<OwnUnits>[0]): OwnFate => {
  const error = jobError('snoozed', 'the worker was asked to stop before there was a place for it')
  const ending = { kind: 'requeued', attempt: held.job.attempt, delayMs: 0, error } as const
  return { kind: 'ended', finished: { ...held, ending, elapsedMs: 0 } }
}

/**
 * What a function can do to its transaction: a statement of it was refused, and it went on as if it had not been; or it
 * has made the transaction read-only, which took the lock on the job before.
 */
const spoilt = new Set(['25P02', readOnly])

/** Whether it is the function's fault that the end of its job cannot be written. */
const isOfWrite = (error: unknown): boolean =>
  blameFor(error) === 'job' || spoilt.has(databaseErrorOf(error)?.code ?? '')

/** Likewise for the commit: what is put off until then are constraints and triggers on the function's own tables. */
const isOfCommit = (error: unknown): boolean => databaseErrorOf(error) !== null && !isTransientHere(error)

/**
 * What has become of the transaction. `left`: the function has ended it, by the entity manager or in SQL, of which that does
 * not know; then the job is locked no more, and what is written next is in another transaction, or in none. `lost`: its
 * session is gone, and all that was written in it.
 */
type Standing = { kind: 'held' | 'left' } | { kind: 'lost'; error: unknown }

/** Looks what has become of the transaction, and takes back what the function has set in it. */
const standingOf = async (em: EntityManager, transaction: string, mostMs: number): Promise<Standing> => {
  if (!em.isInTransaction()) return { kind: 'left' }
  try {
    return { kind: (await takeBack(queryable(em), mostMs)) === transaction ? 'held' : 'left' }
  } catch (error) {
    if (isTransientHere(error)) return { kind: 'lost', error }
    // Aborted by a statement that was refused, it is held, and nothing can be written in it. Else nothing was sent: it is
    // over.
    return { kind: databaseErrorOf(error) === null ? 'left' : 'held' }
  }
}

const leftUnit: Ending = {
  kind: 'failed',
  error: jobError('unit_left', 'the function ended its transaction, which is not its to commit or roll back'),
}

/**
 * Ends the transaction for another entity manager, so that the function's stays in it: what the function still does, as
 * behind a `Promise.all` of which another part failed, is refused. Out of its transaction it would write that by itself.
 */
const commit = (em: EntityManager): Promise<void> => em.fork({ keepTransactionContext: true }).commit()

/** Likewise. One that is committed, or whose session is lost or was ended, is left as it is. */
const rollBack = async (em: EntityManager): Promise<void> => {
  if (!em.isInTransaction()) return
  try {
    await em.fork({ keepTransactionContext: true }).rollback()
  } catch {
    // The pool has thrown the session away, or has had it back.
  }
}
