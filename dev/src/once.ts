import { setTimeout as pause } from 'node:timers/promises'
import { reasonOf } from '@esteira/service'
import pRetry from 'p-retry'
import type { ApiRun } from './house/api.ts'
import { saveExample, tickExample } from './house/example.ts'
import type { House } from './house/start-house.ts'
import { readLeads } from './leads.ts'

/** What came of one tick; `jobs` and `leads` are counted when its run is over. */
export type Summary = { run: string; status: string; jobs: number; leads: number; seconds: number }

/** A run in which nothing moves for this long will not end by itself, milliseconds. */
const patienceMs = 300_000

/** Between two lines about a run that is under way, milliseconds. */
const progressMs = 1_000

/** Fires one tick of the example, waits until its run is over, and says what came of it. */
export const runOnce = async (house: House, say: (line: string) => void, signal: AbortSignal): Promise<Summary> => {
  const example = await saveExample(house, signal)
  const begun = performance.now()
  const runId = await tickExample(house, example, signal)
  say(`tick fired, run ${runId} has begun`)
  const run = await untilOver(house, runId, say, signal)
  const seconds = Math.round((performance.now() - begun) / 10) / 100
  // The server may be on its way back when the run is over.
  const { count } = await pRetry(() => readLeads(house.settings.crmUrl, 0), { minTimeout: 200, signal })
  const jobs = sum(run, ({ succeeded, failed, cancelled }) => succeeded + failed + cancelled)
  return { run: runId, status: run.status, jobs, leads: count, seconds }
}

const untilOver = async (
  house: House,
  runId: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<ApiRun> => {
  let said = { at: Number.NEGATIVE_INFINITY, line: '' }
  let moved = { at: performance.now(), picture: '' }
  for (;;) {
    const now = performance.now()
    const run = await readRun(house, runId)
    if (typeof run !== 'string' && run.status !== 'running' && run.status !== 'cancelling') return run
    const picture = JSON.stringify(run)
    if (picture !== moved.picture) moved = { at: now, picture }
    const line = typeof run === 'string' ? run : progress(run)
    if (line !== said.line && now - said.at > progressMs) {
      say(line)
      said = { at: now, line }
    }
    if (now - moved.at > patienceMs) throw new Error(`nothing has moved in run ${runId} for ${patienceMs / 1000} s`)
    await pause(200, undefined, { signal })
  }
}

/** The run, or why it cannot be read: the control plane may be on its way back, and the run goes on without it. */
const readRun = async (house: House, runId: string): Promise<ApiRun | string> => {
  try {
    return await house.api.run(runId)
  } catch (error) {
    return `the control plane does not answer for the moment: ${reasonOf(error)}`
  }
}

const progress = (run: ApiRun): string => {
  const waiting = sum(run, ({ staged, belt }) => staged + belt)
  return `run ${run.id}: ${sum(run, ({ succeeded }) => succeeded)} jobs done, ${waiting} waiting`
}

const sum = (run: ApiRun, count: (step: ApiRun['steps'][number]) => number): number =>
  run.steps.reduce((total, step) => total + count(step), 0)
