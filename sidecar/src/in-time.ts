import { setTimeout as wait } from 'node:timers/promises'

/**
 * Asks, and gives `late` when there is no answer within the time. Whoever asks meanwhile gets the same answer, so however
 * often that is, one question is on its way.
 */
export const inTime = <T>(ask: () => Promise<T>, ms: number, late: T): (() => Promise<T>) => {
  let asked: Promise<T> | null = null
  return async () => {
    asked ??= ask().finally(() => {
      asked = null
    })
    return Promise.race([asked, wait(ms, late, { ref: false })])
  }
}
