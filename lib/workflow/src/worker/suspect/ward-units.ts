import { setTimeout as pause } from 'node:timers/promises'
import { endSession } from '../../database/end-session.ts'
import { isTransientHere } from '../../database/is-transient.ts'
import { openOrm } from '../../database/open-orm.ts'
import { type StepFunction, timeoutOf } from '../../function/define-function.ts'
import { nextTryOf } from '../../job/next-try.ts'
import { lockedAmong } from '../../job/unit/locked-among.ts'
import type { By } from '../../job/unit/write-unit.ts'
import { createLockWaits } from '../hold/lock-waits.ts'
import { createOwnUnits } from '../commit/own-units.ts'
import { placesByName } from '../attempt/places.ts'
import { ownPoolSizeFor, ownUnitsAtOnce } from '../pools.ts'
import type { Answer, Suspect } from './messages.ts'

type WardUnitOptions = { functions: readonly StepFunction[]; databaseUrl: string; worker: string }

const databasePauseMs = 500

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

/** Units of work for functions that have their own, written from a ward. */
export const openWardUnits = ({ functions, databaseUrl, worker }: WardUnitOptions) => {
  const known = functions.flatMap(({ entities }) => entities)
  const common = { databaseUrl, applicationName: `${worker} (ward)` }
  const poolSize = ownPoolSizeFor(functions)
  const ownOrm = openOrm({ ...common, poolSize, known })
  const besideOrm = openOrm({ ...common, poolSize })
  const endOrm = openOrm({ ...common, poolSize: 1 })
  const placesOf = placesByName(ownUnitsAtOnce)
  const leaving = new AbortController()
  const locks = createLockWaits({
    lockedAmong: (jobs) => lockedAmong(endOrm.em.fork(), jobs),
    pause: () => pause(databasePauseMs * (1 + Math.random())),
  })

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
        ownOrm,
        besideOrm,
        atOnce: ownUnitsAtOnce,
        by,
        untilDone: untilDone(signal),
        endSession: (pid) => endSession(endOrm.em.fork(), pid),
        untilFree: locks.untilFree,
        leaving: leaving.signal,
        onWritten: (written) => {
          for (const span of written.created) span.end()
          toSettle.push(...written.toSettle)
        },
      })
      const held = { job, place, nextTry: nextTryOf(job, fn, Math.random) }
      // At a stop nothing begins, and a suspect is put off as one: with a message of the next `seq` it would be none any more.
      const fate = await placesOf(fn.name)(async () =>
        leaving.signal.aborted ? { kind: 'held' as const } : units(held, timeoutOf(fn, job.step), attempt),
      )
      switch (fate.kind) {
        case 'lost':
        case 'held':
          return fate
        case 'written':
          return { ...fate, toSettle }
        case 'ended':
          return { kind: 'ended', ending: fate.finished.ending, elapsedMs: fate.finished.elapsedMs }
      }
    },
    stopWaiting: () => leaving.abort(),
    close: () => Promise.all([ownOrm.close(), besideOrm.close(), endOrm.close()]),
  }
}

export type WardUnits = ReturnType<typeof openWardUnits>
