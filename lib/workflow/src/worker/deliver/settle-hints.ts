import { reasonOf } from '@esteira/service'
import { isLockedOut } from '../../database/is-transient.ts'

export type SettleEvent = { kind: 'settle.failed' | 'settle.held-up'; runs: number; reason: string }

type SettleOptions = {
  /** How many runs are settled at once, at most. */
  most: number
  settle: (runIds: readonly string[]) => Promise<unknown>
  /** Which of these a settle has to wait for. */
  lockedAmong: (runIds: readonly string[]) => Promise<ReadonlySet<string>>
  /** Resolves to true when a settle has to wait for a run no more, and to false when that is waited for no more. */
  untilFree: (runId: string) => Promise<boolean>
  /** Before runs are settled again of which none was found locked. */
  pause: () => Promise<unknown>
  observe: (event: SettleEvent) => void
}

/**
 * Settles the runs that commits hint at, in groups and beside the commits: no ack waits for it, and one run that is
 * locked holds up no job, and no other run for long: it is settled when it is free. A hint that fails is told and forgotten,
 * since the sweep finds what it meant.
 */
export const createSettling = ({ most, settle, lockedAmong, untilFree, pause, observe }: SettleOptions) => {
  const hinted = new Set<string>()
  let working: Promise<void> | null = null

  const settleAll = async (): Promise<void> => {
    while (hinted.size > 0) {
      const runIds = [...hinted].slice(0, most)
      for (const id of runIds) hinted.delete(id)
      try {
        await settle(runIds).catch((error: unknown) => passOver(runIds, error))
      } catch (error) {
        fail(runIds, error)
      }
    }
    working = null
  }

  const fail = (runIds: readonly string[], error: unknown): void =>
    observe({ kind: 'settle.failed', runs: runIds.length, reason: reasonOf(error) })

  const passOver = async (runIds: readonly string[], error: unknown): Promise<void> => {
    if (!isLockedOut(error)) throw error
    const locked = await lockedAmong(runIds)
    const held = runIds.filter((id) => locked.has(id))
    // Where none is, it was the lock of a table, or it has just been released: any of them may have waited for it.
    observe({ kind: 'settle.held-up', runs: held.length || runIds.length, reason: reasonOf(error) })
    for (const id of held) void hintWhenFree(id)
    if (held.length === 0) await pause()
    hint(runIds.filter((id) => !locked.has(id)))
  }

  const hintWhenFree = async (id: string): Promise<void> => {
    try {
      if (await untilFree(id)) hint([id])
    } catch (error) {
      fail([id], error)
    }
  }

  const hint = (runIds: readonly string[]): void => {
    for (const id of runIds) hinted.add(id)
    if (hinted.size > 0) working ??= settleAll()
  }

  return {
    hint,
    /** Resolves when every hint so far has been followed. */
    done: async (): Promise<void> => {
      await working
    },
  }
}
