import { unstorableText } from '@esteira/outbox/internal/unstorable-text'
import { reasonOf } from '@esteira/service'
import { databaseErrorOf } from '../database/is-transient.ts'
import { WorkflowError } from '../errors.ts'
import { type Ending, type FinishedJob, placedOf } from '../job/held-job.ts'
import { jobError } from '../job/job-error.ts'
import type { Placed } from '../job/place-result.ts'
import { blameFor } from './blame.ts'

/**
 * What became of a finished job: its end, perhaps another than it had, was written; it was no longer ours; or the house
 * was at fault, and its message must come again.
 */
export type Fate = { kind: 'written'; ending: Ending } | { kind: 'lost' } | { kind: 'refused' }

export type CommitEvent = { kind: 'commit.refused'; jobs: number; reason: string }

export type CommitMeans = {
  /** Writes finished jobs in one unit of work, again through bad moments; gives those that were still ours. */
  write: (finished: readonly FinishedJob[]) => Promise<ReadonlySet<FinishedJob>>
  observe: (event: CommitEvent) => void
  /** Aborted when the worker has stopped: what cannot be written then is nobody's fault. */
  stopped: AbortSignal
}

/** A finished job and its place in the group. One job may be there twice, when its message came twice. */
type Entry = { place: number; finished: FinishedJob }

/** Jobs that are refused one after the other, each alone, and not for what they hold, before others are asked for. */
const mostHouseFaults = 2

/**
 * Commits finished jobs together. A group that is refused is halved until the guilty are found: a job whose result
 * cannot be stored ends `failed`, and the others are written as they are. One that is guilty among `n` costs at most
 * `2 log2 n + 1` units of work. For a fault of the house no job fails. Behind the second one in a row two others are tried,
 * each alone; when they meet it too the search ends, and what is not written is refused, told once.
 */
export const commitGroup = async (
  group: readonly FinishedJob[],
  { write, observe, stopped }: CommitMeans,
): Promise<Fate[]> => {
  const entries = group.map((finished, place) => ({ place, finished }))
  const fates = new Map<number, Fate>()
  const guilty: Entry[] = []
  const houseFaults = new Map<number, unknown>()
  let faultsInARow = 0
  let isHopeless = false

  const isOpen = ({ place }: Entry): boolean =>
    !fates.has(place) && !houseFaults.has(place) && !guilty.some((one) => one.place === place)

  const isRefused = async (some: readonly Entry[]): Promise<{ error: unknown } | null> => {
    try {
      const won = await write(some.map(({ finished }) => finished))
      for (const { place, finished } of some) {
        fates.set(place, won.has(finished) ? { kind: 'written', ending: finished.ending } : { kind: 'lost' })
      }
      faultsInARow = 0
      return null
    } catch (error) {
      if (stopped.aborted || blameFor(error) === 'moment') throw error
      return { error }
    }
  }

  const blame = (one: Entry, error: unknown): void => {
    if (blameFor(error) === 'job') {
      guilty.push({ ...one, finished: rejected(one.finished, error) })
    } else {
      houseFaults.set(one.place, error)
      faultsInARow += 1
    }
  }

  /** Whether those that are left would be refused as well, as far as two of them tell. */
  const askOthers = async (): Promise<void> => {
    const left = entries.filter(isOpen)
    for (const one of new Set([left.at(-1), left[Math.floor(left.length / 2)]])) {
      if (one === undefined) continue
      const refusal = await isRefused([one])
      if (refusal === null) return
      blame(one, refusal.error)
      if (blameFor(refusal.error) === 'job') return
    }
    isHopeless = true
  }

  const search = async (refused: readonly Entry[], error: unknown): Promise<void> => {
    const [one, ...others] = refused
    if (one === undefined) return
    if (others.length === 0) {
      blame(one, error)
      if (faultsInARow >= mostHouseFaults) await askOthers()
      return
    }
    const middle = Math.floor(refused.length / 2)
    const first = refused.slice(0, middle)
    const firstRefusal = await isRefused(first)
    if (firstRefusal !== null) await search(first, firstRefusal.error)
    if (isHopeless) return
    // Some of them may have been asked meanwhile.
    const second = refused.slice(middle).filter(isOpen)
    if (second.length === 0) return
    // With the first half written, the fault is in the second; but no job is blamed for what was not seen with it alone.
    const isKnown = firstRefusal === null && second.length > 1
    const secondRefusal = isKnown ? { error } : await isRefused(second)
    if (secondRefusal !== null) await search(second, secondRefusal.error)
  }

  const refusal = await isRefused(entries)
  if (refusal !== null) await search(entries, refusal.error)
  if (guilty.length > 0) {
    const again = await isRefused(guilty)
    if (again !== null) for (const { place } of guilty) houseFaults.set(place, again.error)
  }
  const jobs = group.length - fates.size
  if (jobs > 0) observe({ kind: 'commit.refused', jobs, reason: reasonOf([...houseFaults.values()][0]) })
  return entries.map(({ place }) => fates.get(place) ?? { kind: 'refused' })
}

/** The end of a job whose result the database would not take, such as text with a zero byte. */
export const rejected = (finished: FinishedJob, error: unknown): FinishedJob => ({
  ...finished,
  ending: { kind: 'failed', error: jobError('output_rejected', reasonToReject(finished, error)) },
})

/** Why it would not, for people. */
export const reasonToReject = (finished: FinishedJob, error: unknown): string =>
  error instanceof WorkflowError ? error.message : `the result cannot be stored: ${whyRejected(finished, error)}`

/** Of many items Postgres does not say which it means, and a place is told in place of the text. */
const whyRejected = ({ ending }: FinishedJob, error: unknown): string => {
  const placed = placedOf(ending)
  if (databaseErrorOf(error) === null || placed === null) return reasonOf(error)
  // What was refused has been JSON before.
  const place = unstorableText(JSON.parse(JSON.stringify(resultOf(placed))))
  if (place === null) return reasonOf(error)
  return `its text${place && ` at ${place}`} has a NUL character or half of a surrogate pair`
}

const resultOf = (placed: Placed): unknown => {
  switch (placed.kind) {
    case 'items':
      return placed.items
    case 'whole':
      return placed.result
    case 'output':
      return placed.output
    case 'input':
      return null
  }
}
