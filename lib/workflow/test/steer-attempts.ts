import type { Beating } from '../src/worker/hold/beats.ts'
import type { Delivered } from '../src/worker/deliver/finish.ts'
import type { Attempt } from './attempt-of-two.ts'
import type { Ending } from './told-functions.ts'
import type { Units } from './told-units.ts'
import type { ToldWorker } from './told-worker.ts'

type Steered = {
  units: Pick<Units, 'go'>
  workerOf: ReadonlyMap<Attempt, ToldWorker>
  beatingOf: Map<Attempt, Beating>
  endOf: (attempt: Attempt) => Promise<Delivered>
}

/** What attempts whose job is found may be told, and their functions. */
export const steerAttempts = ({ units, workerOf, beatingOf, endOf }: Steered) => ({
  /**
   * Lets an attempt go on behind its find; resolves when its function has begun, or waits for the row that another
   * has or for its turn in a ward, or to what became of it without.
   */
  goOn: async (attempt: Attempt): Promise<Delivered | 'begun' | 'waits'> => {
    if (attempt.movesAlone) {
      const beats = workerOf.get(attempt)?.beating ?? []
      const others = new Set(beats)
      const became = await units.go(attempt, attempt.goOn)
      if (attempt.isOwn) for (const beating of beats) if (!others.has(beating)) beatingOf.set(attempt, beating)
      return became
    }
    attempt.goOn()
    const first = await Promise.race([attempt.delivered, attempt.begun])
    if ('kind' in first) return endOf(attempt)
    attempt.told = first
    const beating = [...(workerOf.get(attempt)?.beating ?? [])].at(-1)
    if (beating === undefined) throw new Error('nothing beats for a function that has begun')
    beatingOf.set(attempt, beating)
    attempt.claim = () => beating.beat().claim
    return 'begun'
  },

  /** The function of an attempt gives items; resolves to whether it goes on, and how many pages that wrote. */
  give: async (attempt: Attempt, items: number): Promise<{ goesOn: boolean; pages: number }> => {
    const worker = workerOf.get(attempt)
    const before = await worker?.seen()
    await Promise.race([attempt.told?.give?.(items), attempt.delivered])
    const after = await worker?.seen()
    // It hears there that its job is another's.
    const isLost = after?.lost !== before?.lost
    if (isLost) await endOf(attempt)
    return { goesOn: !isLost, pages: (after?.pages ?? 0) - (before?.pages ?? 0) }
  },

  /** The function of an attempt gives items, with which its job goes on in a new delivery; resolves to what became of this. */
  giveAndContinue: async (attempt: Attempt, items: number): Promise<Delivered> => {
    void attempt.told?.give?.(items)
    return endOf(attempt)
  },

  /** The function of an attempt gives items in a ward that may die of it. */
  giveApart: async (attempt: Attempt, items: number): Promise<void> => {
    const { told, continues } = attempt
    if (continues) return void (await units.go(attempt, () => void told?.give?.(items)))
    void told?.give?.(items)
    await workerOf.get(attempt)?.seen()
  },

  /** Ends the function of an attempt; resolves to what became of the delivery. */
  finish: (attempt: Attempt, ending: Ending): Promise<Delivered> => {
    attempt.told?.end(ending)
    return endOf(attempt)
  },

  /** Likewise of one that moves by itself, which may begin anew, or wait. */
  finishAlone: (attempt: Attempt, ending: Ending): Promise<Delivered | 'begun' | 'waits'> => {
    const { told } = attempt
    return units.go(attempt, () => told?.end(ending))
  },
})
