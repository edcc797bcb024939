import { setTimeout as pause } from 'node:timers/promises'
import { reasonOf } from '@esteira/service'
import pRetry from 'p-retry'
import type { ApiRun } from './house/api.ts'
import { saveExample, tickExample } from './house/example.ts'
import type { House } from './house/start-house.ts'
import { countLeadsOf } from './leads.ts'
import { endOf, failureOf, progressOf, stillOf, sum } from './view/run-sentences.ts'

/** What came of one tick, counted when its run is over; `leads` are those that it saved. */
export type Summary = { run: string; status: string; jobs: number; leads: number; seconds: number }

/** A run in which nothing moves for this long will not end by itself, milliseconds. */
const patienceMs = 300_000

/** From when on a run that does not move is asked why, and how often, milliseconds. */
const stillMs = 10_000

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
  // A server may be on its way back when the run is over.
  const ask = <T>(question: () => Promise<T>): Promise<T> => pRetry(question, { minTimeout: 200, signal })
  const leads = await ask(() => countLeadsOf(house.settings.crmUrl, runId))
  const jobs = sum(run, ({ succeeded, failed, cancelled }) => succeeded + failed + cancelled)
  const summary = { run: runId, status: run.status, jobs, leads, seconds }
  say(endOf(summary))
  const failed = sum(run, (step) => step.failed)
  if (failed > 0) {
    const [job] = await ask(() => house.api.jobs(`runId=${runId}&status=failed&limit=1`))
    for (const line of failureOf(runId, failed, job, house.url)) say(line)
  }
  return summary
}

/** Gives the run when it is over, or as it is when nothing has moved in it for too long. */
const untilOver = async (
  house: House,
  runId: string,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<ApiRun> => {
  let said = { at: Number.NEGATIVE_INFINITY, line: '' }
  let moved = { at: performance.now(), picture: '' }
  let asked = 0
  for (;;) {
    const now = performance.now()
    const run = await readRun(house, runId)
    if (typeof run !== 'string' && run.status !== 'running' && run.status !== 'cancelling') return run
    const picture = JSON.stringify(run)
    if (picture !== moved.picture) moved = { at: now, picture }
    const line = typeof run === 'string' ? run : progressOf(run)
    if (line !== said.line && now - said.at > progressMs) {
      say(line)
      said = { at: now, line }
    }
    if (now - Math.max(moved.at, asked) > stillMs) {
      asked = now
      say(stillOf(now - moved.at, await lastError(house, runId)))
    }
    if (now - moved.at > patienceMs) {
      if (typeof run === 'string') throw new Error(run)
      return run
    }
    await pause(200, undefined, { signal })
  }
}

/** What the last attempt at one of the jobs that wait ended with, if one did. */
const lastError = async (house: House, runId: string): Promise<string | null> => {
  try {
    const waiting = await house.api.jobs(`runId=${runId}&status=queued&limit=100`)
    return waiting.find(({ error }) => error !== null)?.error?.message ?? null
  } catch (error) {
    return reasonOf(error)
  }
}

/** The run, or why it cannot be read: the control plane may be on its way back, and the run goes on without it. */
const readRun = async (house: House, runId: string): Promise<ApiRun | string> => {
  try {
    return await house.api.run(runId)
  } catch (error) {
    return `no news for the moment: ${reasonOf(error)}`
  }
}
