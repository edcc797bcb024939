import { setTimeout as pause } from 'node:timers/promises'
import { reasonOf } from '@esteira/service'
import type { Example } from './house/example.ts'
import type { House } from './house/start-house.ts'
import { readLeads } from './leads.ts'
import type { Screen } from './view/screen.ts'
import type { RunLine, ServiceLine, Snapshot } from './view/snapshot.ts'

const refreshMs = 1_000
const shownRuns = 6
const shownLeads = 5

/** Shows the house at work until the signal is aborted. What does not answer for a moment is shown as it was. */
export const showLive = async (
  house: House,
  example: Example,
  services: () => readonly ServiceLine[],
  screen: Screen,
  signal: AbortSignal,
): Promise<void> => {
  let seen: Pick<Snapshot, 'runs' | 'leads'> | undefined
  let silent = false
  while (!signal.aborted) {
    try {
      const [runs, leads] = await Promise.all([
        readRuns(house, example.workflowId),
        readLeads(house.settings.crmUrl, shownLeads),
      ])
      seen = { runs, leads }
      silent = false
    } catch (error) {
      // One line a silence; the supervisor tells what fell and when it is back.
      if (!silent && !signal.aborted) screen.say(`no news for the moment: ${reasonOf(error)}`)
      silent = true
    }
    // Once it stops, what is said is news, and a picture drawn after it would not be.
    if (seen !== undefined && !signal.aborted) screen.show({ services: services(), ...seen })
    await pause(refreshMs, undefined, { signal }).catch(whenAborted(signal))
  }
}

const readRuns = async ({ api }: House, workflowId: string): Promise<RunLine[]> => {
  const runs = await Promise.all((await api.runs(workflowId, shownRuns)).map(({ id }) => api.run(id)))
  return runs.map(({ id, trigger, status, createdAt, steps }) => ({
    id,
    trigger,
    status,
    createdAt,
    waiting: steps.reduce((sum, { staged, belt }) => sum + staged + belt, 0),
    succeeded: steps.reduce((sum, { succeeded }) => sum + succeeded, 0),
    failed: steps.reduce((sum, { failed }) => sum + failed, 0),
  }))
}

const whenAborted = (signal: AbortSignal) => (error: unknown) => {
  if (!signal.aborted) throw error
}
