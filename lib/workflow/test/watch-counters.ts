import { queryable } from '@esteira/outbox'
import { IsolationLevel } from '@mikro-orm/postgresql'
import { onTestFinished } from 'vitest'
import { openConservation } from './conservation.ts'
import { defaultWindow } from '../src/job/unit/window.ts'
import type { Engine } from './engine.ts'

/** What a watch saw: how often it looked, and all that was not as it must be. With a window, none may be exceeded. */
export type Watched = { looks: number; seen: unknown[] }

/**
 * Checks what must hold at every moment, again and again, each time in a snapshot of its own, until it is stopped or
 * the test ends.
 */
export const watchCounters = (engine: Engine, window = defaultWindow): { stop: () => Promise<Watched> } => {
  const watched: Watched = { looks: 0, seen: [] }
  const stopping = new AbortController()
  const look = () =>
    engine.em().transactional(
      async (em) => {
        const tx = queryable(em)
        const { untrueCounters, unconserved } = openConservation(async (text) => (await tx.query(text, [])).rows)
        watched.seen.push(...(await untrueCounters()), ...(await unconserved()))
        watched.seen.push(...(await tx.query(exceededSql, [window])).rows)
        watched.looks += 1
      },
      { isolationLevel: IsolationLevel.REPEATABLE_READ, readOnly: true },
    )
  const watching = (async () => {
    while (!stopping.signal.aborted) await look()
  })()
  const stop = async (): Promise<Watched> => {
    stopping.abort()
    await watching
    return watched
  }
  // A test that fails before it asks leaves none behind.
  onTestFinished(async () => {
    await stop()
  })
  return { stop }
}

const exceededSql = `select run_id, step_id, belt as "beyondTheWindow" from workflow_run_step where belt > $1`
