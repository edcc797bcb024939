import type { Lockable } from '../../job/unit/locked-among.ts'

type LockWaitsOptions = {
  /** Of jobs and their runs, by their ids, what somebody has locked; waits for no lock. */
  lockedAmong: (jobs: readonly Lockable[]) => Promise<ReadonlySet<string>>
  /** Before each look. */
  pause: () => Promise<unknown>
}

/** Waits for jobs, and for runs, that somebody holds locked. */
export type LockWaits = {
  /** Whether this job, or run, was locked when it was last looked at. */
  isHeld: (id: string) => boolean
  /**
   * Resolves to true when this, the job or its run, is locked no more, and to false when that takes longer than `mostMs`, or
   * when it is stopped.
   *
   * @throws what keeps it from being looked at.
   */
  untilFree: (job: Lockable, id: string, mostMs?: number) => Promise<boolean>
  /** Nobody waits any more: whoever does, or would, hears that it is not free. */
  stop: () => void
  isStopped: () => boolean
}

/**
 * Nothing waits in Postgres here, where each wait has a session: all that is held is looked at together, again and again, by
 * one statement that passes over what is locked. So it has one session of its worker however much that is. Whoever
 * has waited goes on as before, and may meet the lock of the next.
 */
export const createLockWaits = ({ lockedAmong, pause }: LockWaitsOptions): LockWaits => {
  type Wait = { job: Lockable; isFree: PromiseWithResolvers<boolean> }
  const waits = new Map<string, Wait>()
  let isLooking = false
  let isStopped = false

  const lookOnce = async (): Promise<void> => {
    const looked = [...waits]
    const locked = await lockedAmong(looked.map(([, { job }]) => job))
    for (const [id, { isFree }] of looked) {
      if (locked.has(id)) continue
      waits.delete(id)
      isFree.resolve(true)
    }
  }

  const look = async (): Promise<void> => {
    if (isLooking) return
    isLooking = true
    try {
      while (waits.size > 0) {
        await pause()
        await lookOnce()
      }
    } catch (error) {
      for (const { isFree } of waits.values()) isFree.reject(error)
      waits.clear()
    } finally {
      isLooking = false
    }
  }

  const waitOf = (job: Lockable, id: string): Promise<boolean> => {
    const known = waits.get(id)
    if (known !== undefined) return known.isFree.promise
    const isFree = Promise.withResolvers<boolean>()
    // Those who asked may have lost their patience.
    isFree.promise.catch(() => {})
    waits.set(id, { job, isFree })
    void look()
    return isFree.promise
  }

  return {
    isHeld: (id) => waits.has(id),
    untilFree: async (job, id, mostMs) => {
      if (isStopped) return false
      const isFree = waitOf(job, id)
      if (mostMs === undefined) return isFree
      const patience = Promise.withResolvers<false>()
      const late = setTimeout(() => patience.resolve(false), Math.max(0, mostMs))
      try {
        return await Promise.race([isFree, patience.promise])
      } finally {
        clearTimeout(late)
      }
    },
    stop: () => {
      isStopped = true
      for (const { isFree } of waits.values()) isFree.resolve(false)
      waits.clear()
    },
    isStopped: () => isStopped,
  }
}
