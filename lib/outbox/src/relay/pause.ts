import { setTimeout as sleep } from 'node:timers/promises'

/** Waits for the time to pass, or until the signal is aborted. */
export const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
