import type { Beating } from '../src/worker/hold/beats.ts'
import { deliverMeans } from '../src/worker/deliver/deliver-means.ts'
import type { Pools } from '../src/worker/pools.ts'
import type { WorkerOptions } from '../src/worker/worker-options.ts'
import { toldSuspects } from './told-suspects.ts'

/** No page is written for its age: only what the test does makes things happen. */
const pageAgeMs = 3_600_000

type ToldWorkerOptions = WorkerOptions & {
  query: (text: string, values?: unknown[]) => Promise<unknown[]>
  /** Where wards reach Postgres. */
  wardsUrl: string
}

/**
 * A worker as it is but for what is around it: its beats are sent by the test, a delivery whose job was found goes on
 * when the test lets it, and what became of its claims and pages is seen.
 */
export const toldWorker = (pools: Pools, lane: number, options: ToldWorkerOptions) => {
  const beating = new Set<Beating>()
  const { means, settled, hint } = deliverMeans(pools, lane, options, new AbortController().signal)
  const { maxPayloadBytes } = means
  const { worker, window, query, wardsUrl: databaseUrl } = options
  const suspects = toldSuspects({
    by: { worker, lane, ...(window !== undefined && { window }) },
    options: { ...options, databaseUrl },
    beating,
    query,
    maxPayloadBytes,
    pageAgeMs,
    hint,
  })
  const beats = {
    add: (one: Beating) => {
      beating.add(one)
      return async () => void beating.delete(one)
    },
  }
  /** Claims and pages that are under way, and what became of those that were. */
  const underWay = new Set<Promise<unknown>>()
  const seen = { pages: 0, lost: 0 }
  const watched =
    <Values extends unknown[], Answer>(write: (...values: Values) => Promise<Answer>, see: (answer: Answer) => void) =>
    async (...values: Values): Promise<Answer> => {
      const writing = write(...values)
      underWay.add(writing)
      try {
        const answer = await writing
        see(answer)
        return answer
      } finally {
        underWay.delete(writing)
      }
    }
  const seePage = (fate: 'written' | 'lost'): void => {
    seen[fate === 'written' ? 'pages' : 'lost'] += 1
  }
  const pages = {
    ...means.pages,
    write: watched(means.pages.write, ({ fate }) => seePage(fate)),
    hide: watched(means.pages.hide, seePage),
  }
  const claim = watched(means.claim, (taken) => {
    if (taken === undefined) seen.lost += 1
  })
  /** Jobs whose ends are under way in the groups. */
  const committing: string[] = []
  const commit: typeof means.commit = async (finished, receivedMs) => {
    const { id } = finished.job
    committing.push(id)
    try {
      return await means.commit(finished, receivedMs)
    } finally {
      committing.splice(committing.indexOf(id), 1)
    }
  }
  /** Holds what is found next, until the delivery is to go on. */
  let hold: { found: () => void; goOn: Promise<void> } | null = null
  const find: typeof means.find = async (jobId) => {
    const held = hold
    hold = null
    const found = await means.find(jobId)
    held?.found()
    await held?.goOn
    return found
  }
  return {
    means: { ...means, beats, find, claim, commit, pages, pageAgeMs },
    beating,
    committing,
    suspects,
    holdFind: (next: typeof hold) => {
      hold = next
    },
    /** What was seen of claims and pages, when none is under way. */
    seen: async () => {
      do {
        await Promise.allSettled(underWay)
        await new Promise(setImmediate)
      } while (underWay.size > 0)
      return { ...seen }
    },
    settled,
  }
}

export type ToldWorker = ReturnType<typeof toldWorker>
