import { setTimeout as pause } from 'node:timers/promises'
import type { HouseApi } from '../../support/house-api.ts'
import { waitFor } from '../../support/wait-for.ts'

/** A run that a client began, and how it ended; `open` when it had not ended in time. */
export type Begun = { key: string; items: number; status: string }

type Client = { workflow: { id: string }; name: string; items: number }

const everyMs = 250

/**
 * Begins runs one after the other, each under a key of its own, and waits for the end of each. What was not answered is
 * asked again under the same key. Resolves when the signal is aborted and the last run has ended.
 */
export const beginRuns = async (
  api: HouseApi,
  { workflow, name, items }: Client,
  { patienceMs, signal }: { patienceMs: number; signal: AbortSignal },
): Promise<Begun[]> => {
  const begun: Begun[] = []
  /** Patience is counted anew with each call: the blows go on meanwhile. */
  const ask = <T>(call: () => Promise<T | false>, describe: string) => {
    const slowly = async () => {
      const answer = await call().catch(async (error: unknown) => {
        await pause(everyMs)
        throw error
      })
      if (answer === false) await pause(everyMs)
      return answer
    }
    return waitFor<T>(slowly, { deadlineMs: patienceMs, describe })
  }
  while (!signal.aborted) {
    const key = `${name} ${begun.length + 1}`
    const { id } = await ask(
      () => api.startRun(workflow, { payload: { run: key, items }, idempotencyKey: key }),
      `${key} to begin`,
    )
    const isOver = async () => {
      const { status } = await api.run(id)
      return status !== 'running' && status
    }
    const status = await ask(isOver, `${key} to end`).catch(() => 'open')
    begun.push({ key, items, status })
  }
  return begun
}
