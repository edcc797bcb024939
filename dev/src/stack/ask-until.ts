import { setTimeout as delay } from 'node:timers/promises'

/** Asks again and again until the answer is no error. @throws the last error when the signal is aborted before. */
export const askUntil = async (ask: () => Promise<void>, everyMs: number, signal: AbortSignal): Promise<void> => {
  let last: unknown = signal.reason
  while (!signal.aborted) {
    try {
      await ask()
      return
    } catch (error) {
      last = error
    }
    await delay(everyMs)
  }
  throw last
}
