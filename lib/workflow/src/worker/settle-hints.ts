import { reasonOf } from '@esteira/service'

export type SettleEvent = { kind: 'settle.failed'; runs: number; reason: string }

type SettleOptions = {
  /** How many runs are settled at once, at most. */
  most: number
  settle: (runIds: readonly string[]) => Promise<unknown>
  observe: (event: SettleEvent) => void
}

/**
 * Settles the runs that commits hint at, in groups and beside the commits: no ack waits for it, and one run that is
 * locked holds up no job. A hint that fails is told and forgotten, since the sweep finds what it meant.
 */
export const createSettling = ({ most, settle, observe }: SettleOptions) => {
  const hinted = new Set<string>()
  let working: Promise<void> | null = null

  const settleAll = async (): Promise<void> => {
    while (hinted.size > 0) {
      const runIds = [...hinted].slice(0, most)
      for (const id of runIds) hinted.delete(id)
      try {
        await settle(runIds)
      } catch (error) {
        observe({ kind: 'settle.failed', runs: runIds.length, reason: reasonOf(error) })
      }
    }
    working = null
  }

  return {
    hint: (runIds: readonly string[]): void => {
      for (const id of runIds) hinted.add(id)
      if (hinted.size > 0) working ??= settleAll()
    },
    /** Resolves when every hint so far has been followed. */
    done: async (): Promise<void> => {
      await working
    },
  }
}
