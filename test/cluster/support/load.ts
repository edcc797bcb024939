import { setTimeout as delay } from 'node:timers/promises'
import type { ApiWorkflow } from '@esteira/dev/house'
import { onTestFinished } from 'vitest'
import type { TestRelease } from './release.ts'
import { waitInCluster } from './wait-in-cluster.ts'

/** Runs of a workflow, two of them open at a time, each begun under a key of its own. */
export type Load = {
  /** Waits until so many have begun. */
  begun: (count: number) => Promise<void>
  /** Their ids. */
  runs: () => readonly string[]
  /** What was asked in vain; each was asked again. */
  faults: () => readonly string[]
  /** Begins no more. @throws when the API does not answer any more. */
  stop: () => Promise<void>
}

/** Between two questions. */
const pauseMs = 300

/**
 * Begins runs until it is stopped, or its test has ended: one whenever the one before the last is over, so that there
 * is always work and never a backlog.
 */
export const startLoad = ({ api }: TestRelease, workflow: ApiWorkflow): Load => {
  const runs: string[] = []
  const faults: string[] = []
  const ended = new AbortController()
  onTestFinished(() => ended.abort())
  const asked = <T>(ask: () => Promise<T | false>, what: string): Promise<T> =>
    waitInCluster(
      async () => {
        const answer = await ask().catch((error: unknown) => {
          faults.push(String(error))
          return false as const
        })
        if (answer === false) await delay(pauseMs)
        return answer
      },
      { deadlineMs: 120_000, describe: () => [what, ...faults] },
    )
  const isOver = async (id: string) => ended.signal.aborted || (await api.run(id)).status !== 'running'
  const beginning = (async () => {
    while (!ended.signal.aborted) {
      const idempotencyKey = `load-${runs.length}`
      const { id } = await asked(() => api.startRun(workflow, { idempotencyKey }), `the run ${idempotencyKey} to begin`)
      const before = runs.at(-1)
      runs.push(id)
      if (before !== undefined) await asked(() => isOver(before), `the run ${before} to be over`)
    }
  })()
  // Whoever stops it hears of that.
  beginning.catch(() => undefined)
  return {
    begun: async (count) => {
      await waitInCluster(() => runs.length >= count, { deadlineMs: 60_000, describe: () => faults })
    },
    runs: () => runs,
    faults: () => faults,
    stop: async () => {
      ended.abort()
      await beginning
    },
  }
}
