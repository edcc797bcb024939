import { waitFor } from '@esteira/test/support'
import * as z from 'zod'
import type { Delivered } from '../src/worker/deliver/finish.ts'
import type { Told } from './told-functions.ts'
import type { ToldWorker } from './told-worker.ts'

/** An attempt at a job in a unit of work of its own. */
export type UnitAttempt = {
  message: { jobId: string }
  /** What its function is told by, while that is at work. */
  told: Told | null
  delivered: Promise<Delivered>
}

/** What sessions with a unit of work are called in the server. */
export const unitsName = 'own units'

/** Units of work that are open or wait to be: fewer than a worker has places for. */
const most = 6

/**
 * Attempts that go on in the server by themselves: one may wait there for the row of its job, which another has locked,
 * and go on when that one ends. So after each thing that happens it is waited for until nothing moves any more.
 */
export const watchUnits = (
  query: (text: string, values?: unknown[]) => Promise<unknown[]>,
  workers: readonly ToldWorker[],
  settled: () => Promise<void>,
) => {
  /** Those that went on and of which nothing is seen yet: their functions are not at work, and they are not over. */
  const underWay = new Set<UnitAttempt>()
  /** Functions that are at work, and whose session has the row of their job. */
  const holders = new Map<UnitAttempt, number>()
  const dead = new Set<UnitAttempt>()
  const ends = new Map<UnitAttempt, Delivered>()
  const faults: unknown[] = []

  const isHeld = (jobId: string): boolean => [...holders.keys()].some(({ message }) => message.jobId === jobId)

  const endSession = async (attempt: UnitAttempt): Promise<void> => {
    const session = holders.get(attempt)
    if (session === undefined) return
    holders.delete(attempt)
    await query('select pg_terminate_backend($1, 10000)', [session])
  }

  /** Whether all that is under way waits for a row, in the server or behind a group that does, or for its turn in a ward. */
  const isQuiet = async (): Promise<boolean> => {
    await settled()
    if (faults.length > 0) return true
    const areGone = await Promise.all(workers.map(({ suspects }) => suspects.areGone()))
    if (!areGone.every(Boolean)) return false
    if (underWay.size === 0) return true
    const [{ waiting }] = waitingRows.parse(await query(waitingSql, [unitsName]))
    const committing = workers.flatMap((worker) => worker.committing)
    const inLine = workers.reduce((sum, { suspects }) => sum + suspects.inLine(), 0)
    return committing.every(isHeld) && waiting + committing.length + inLine >= underWay.size
  }

  const quiet = async (): Promise<void> => {
    await waitFor(isQuiet, { describe: 'units of work that wait for a row', deadlineMs: 30_000 })
    if (faults.length > 0) throw faults[0]
  }

  /** Lets an attempt go on by itself; resolves to what became of it when nothing moves any more. */
  const go = async (attempt: UnitAttempt, goOn: () => void): Promise<Delivered | 'begun' | 'waits'> => {
    holders.delete(attempt)
    attempt.told = null
    underWay.add(attempt)
    goOn()
    await quiet()
    return ends.get(attempt) ?? (attempt.told === null ? 'waits' : 'begun')
  }

  return {
    quiet,
    go,

    /** Hears of the end of an attempt, whenever that comes. */
    watch: async (attempt: UnitAttempt, onEnd: (delivered: Delivered) => void): Promise<void> => {
      try {
        const delivered = await attempt.delivered
        ends.set(attempt, delivered)
        underWay.delete(attempt)
        onEnd(delivered)
      } catch (fault) {
        faults.push(fault)
      }
    },

    /** Hears of a function that begins: nobody else may have a unit of work at its job then. */
    begun: (attempt: UnitAttempt, told: Told): void => {
      if (isHeld(attempt.message.jobId)) faults.push(new Error(`job ${attempt.message.jobId} is held twice`))
      attempt.told = told
      if (told.session !== null) holders.set(attempt, told.session)
      if (dead.has(attempt)) void endSession(attempt).catch((fault: unknown) => faults.push(fault))
      underWay.delete(attempt)
    },

    /** Hears of an attempt that moves by itself now: its function is told to end by a beat, or its ward is dead. */
    moves: (attempt: UnitAttempt): void => {
      holders.delete(attempt)
      attempt.told = null
      underWay.add(attempt)
    },

    /** Forgets an attempt of which nothing is left. */
    drop: (attempt: UnitAttempt): void => {
      underWay.delete(attempt)
      holders.delete(attempt)
    },

    /** Hears of something that must not be. */
    fault: (what: string): void => void faults.push(new Error(what)),

    /** Of a process that dies no session stays, and none that it waits for. */
    die: async (attempts: readonly UnitAttempt[]): Promise<void> => {
      for (const attempt of attempts) dead.add(attempt)
      for (const attempt of attempts) await endSession(attempt)
      await quiet()
    },

    /** The server ends the session of a function, which does not hear of it. */
    loseSession: async (attempt: UnitAttempt): Promise<void> => {
      await endSession(attempt)
      await quiet()
    },

    /** Whether it has the row of its job. */
    holds: (attempt: UnitAttempt): boolean => holders.has(attempt),
    isUnderWay: (attempt: UnitAttempt): boolean => underWay.has(attempt),
    hasRoom: (): boolean => underWay.size + holders.size < most,
  }
}

export type Units = ReturnType<typeof watchUnits>

// What waits for a row waits for the transaction that has it, or for its turn to.
const waitingSql = `
  select count(distinct pid)::int as waiting from pg_locks join pg_stat_activity using (pid)
  where not granted and starts_with(application_name, $1) and datname = current_database()`

const waitingRows = z.tuple([z.object({ waiting: z.int() })])
