import { reasonOf } from '@esteira/service'
import { databaseErrorOf } from '../../database/is-transient.ts'
import { WorkflowError } from '../../errors.ts'
import { type Ending, type FinishedJob, movesCounters, placedOf } from '../../job/held-job.ts'
import { jobError } from '../../job/job-error.ts'
import { tryAgain } from '../../job/next-try.ts'
import { childrenIn, type Placed } from '../../payload/place-result.ts'
import { unstorableFault, unstorableItem, unstorableJson } from '../../payload/unstorable.ts'
import type { Lockable } from '../../job/unit/locked-among.ts'
import { blameFor } from './blame.ts'

/**
 * What became of a finished job: its end, perhaps another than it had, was written; it was no longer ours; or the house
 * was at fault, and its message must come again.
 */
export type Fate = { kind: 'written'; ending: Ending } | { kind: 'lost' } | { kind: 'refused' }

/** Or it has left its group, since somebody holds this locked: the job, or its run, by its id. */
export type GroupFate = Fate | { kind: 'held up'; lock: string }

export type CommitEvent = {
  kind: 'commit.refused' | 'commit.cut-short' | 'commit.held-up'
  jobs: number
  reason: string
}

export type CommitMeans = {
  /** Writes finished jobs in one unit of work, again through bad moments; gives those that were still ours. */
  write: (finished: readonly FinishedJob[]) => Promise<ReadonlySet<FinishedJob>>
  /** Likewise of one, behind all its locks: if it is given up then, it was not for those. */
  writeLocked: CommitMeans['write']
  /** Of jobs and their runs, by their ids, what somebody has locked; waits for no lock. */
  lockedAmong: (jobs: readonly Lockable[]) => Promise<ReadonlySet<string>>
  observe: (event: CommitEvent) => void
  /** Before a job is tried again that Postgres has given up. */
  pause: () => Promise<unknown>
  /** Hears of the jobs of a group that are written before all of it is: their messages need not wait for the others. */
  tell: (place: number, fate: GroupFate) => void
  /** Aborted when the worker has stopped: what cannot be written then is nobody's fault. */
  stopped: AbortSignal
}

/** A finished job and its place in the group. One job may be there twice, when its message came twice. */
type Entry = { place: number; finished: FinishedJob }

/** Jobs that are refused one after the other, each alone, and not for what they hold, before others are asked for. */
const mostHouseFaults = 2

/** So often must Postgres give up a job alone, and a page, until it is tried without its result. */
export const mostCuts = 3

/**
 * Commits finished jobs together. A group that is refused is halved until the guilty are found: a job whose result
 * cannot be stored ends `failed`, and the others are written as they are. One that is guilty among `n` costs at most
 * `2 log2 n + 1` units of work. For a fault of the house no job fails. Behind the second one in a row two others are tried,
 * each alone; when they meet it too the search ends, and what is not written is refused, told once.
 *
 * A group that Postgres gives up, for its time or its memory, is halved likewise. A job that it gives up alone time and again
 * is written as an attempt that came to nothing, without its result. If that is given up too then the moment is to blame,
 * as when somebody cancels all that is under way: it begins again with its result, for as long as it takes.
 *
 * Those that wait for somebody's lock leave the group, and the others are written without them; nothing of it is theirs. So
 * that no result is blamed for such a wait the locks of a job are taken first before that.
 */
export const commitGroup = async (
  group: readonly FinishedJob[],
  { write, writeLocked, lockedAmong, observe, pause, tell, stopped }: CommitMeans,
): Promise<GroupFate[]> => {
  const entries = group.map((finished, place) => ({ place, finished }))
  const fates = new Map<number, GroupFate>()
  const guilty: Entry[] = []
  const houseFaults = new Map<number, unknown>()
  let faultsInARow = 0
  let isHopeless = false
  let cut = new Map<number, unknown>()

  const isOpen = ({ place }: Entry): boolean =>
    !fates.has(place) && !houseFaults.has(place) && !cut.has(place) && !guilty.some((one) => one.place === place)

  const isRefused = async (some: readonly Entry[], by = write): Promise<{ error: unknown } | null> => {
    try {
      const won = await by(some.map(({ finished }) => finished))
      for (const { place, finished } of some) {
        const fate: Fate = won.has(finished) ? { kind: 'written', ending: finished.ending } : { kind: 'lost' }
        fates.set(place, fate)
        if (some.length < group.length) tell(place, fate)
      }
      faultsInARow = 0
      return null
    } catch (error) {
      const blame = blameFor(error)
      if (stopped.aborted || blame === 'moment') throw error
      return blame === 'held up' ? writeFree(some, error) : { error }
    }
  }

  /** Writes those of some that wait for nobody's lock, and has the others leave. */
  const writeFree = async (some: readonly Entry[], error: unknown): Promise<{ error: unknown } | null> => {
    const locked = await lockedAmong(some.map(({ finished }) => finished.job))
    const held = some.filter(({ finished }) => lockOf(finished, locked) !== null)
    // Where none is, it was the lock of a table, or it has just been released: who knows which of them waited for it.
    const leaving = held.length === 0 ? some : held
    for (const { place, finished } of leaving) {
      const fate: GroupFate = { kind: 'held up', lock: lockOf(finished, locked) ?? finished.job.runId }
      fates.set(place, fate)
      tell(place, fate)
    }
    observe({ kind: 'commit.held-up', jobs: leaving.length, reason: reasonOf(error) })
    const free = some.filter((one) => !leaving.includes(one))
    return free.length === 0 ? null : isRefused(free)
  }

  const blame = (one: Entry, error: unknown): void => {
    switch (blameFor(error)) {
      case 'job':
        guilty.push({ ...one, finished: rejected(one.finished, error) })
        break
      case 'cut short':
        cut.set(one.place, error)
        break
      default:
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
      if (blameFor(refusal.error) !== 'house') return
    }
    isHopeless = true
  }

  const search = async (refused: readonly Entry[], error: unknown): Promise<void> => {
    // Some of them may have left.
    const open = refused.filter(isOpen)
    const [one, ...others] = open
    if (one === undefined) return
    if (others.length === 0) {
      blame(one, error)
      if (faultsInARow >= mostHouseFaults) await askOthers()
      return
    }
    const middle = Math.floor(open.length / 2)
    const first = open.slice(0, middle)
    const firstRefusal = await isRefused(first)
    if (firstRefusal !== null) await search(first, firstRefusal.error)
    if (isHopeless) return
    // Some of them may have been asked meanwhile.
    const second = open.slice(middle).filter(isOpen)
    if (second.length === 0) return
    // With the first half written, the fault is in the second; but no job is blamed for what was not seen with it alone.
    const isKnown = firstRefusal === null && second.length > 1
    const secondRefusal = isKnown ? { error } : await isRefused(second)
    if (secondRefusal !== null) await search(second, secondRefusal.error)
  }

  const writeAll = async (some: readonly Entry[]): Promise<void> => {
    const refusal = await isRefused(some)
    if (refusal !== null) await search(some, refusal.error)
  }

  /**
   * With its result, and right behind that without: if that is written, the result is to blame, and not the moment. The
   * second may wait for fewer locks, or for just long enough: so nothing is proven of one that had not all of them.
   */
  const writeOrGiveUp = async (one: Entry): Promise<void> => {
    const refusal = await isRefused([one], writeLocked)
    if (refusal === null) return
    if (blameFor(refusal.error) !== 'cut short') return blame(one, refusal.error)
    const finished = bringsNothing(one.finished) ? one.finished : cutShort(one.finished, refusal.error)
    const without = await isRefused([{ ...one, finished }])
    if (without !== null) blame(one, without.error)
  }

  await writeAll(entries)
  for (let cuts = 1; cut.size > 0; cuts += 1) {
    const again = entries.filter(({ place }) => cut.has(place))
    observe({ kind: 'commit.cut-short', jobs: again.length, reason: reasonOf([...cut.values()][0]) })
    await pause()
    cut = new Map()
    if (cuts % mostCuts === mostCuts - 1) for (const one of again) await writeOrGiveUp(one)
    else await writeAll(again)
  }
  if (guilty.length > 0) {
    const again = await isRefused(guilty)
    if (again !== null) for (const { place } of guilty) houseFaults.set(place, again.error)
  }
  const jobs = group.length - fates.size
  if (jobs > 0) observe({ kind: 'commit.refused', jobs, reason: reasonOf([...houseFaults.values()][0]) })
  return entries.map(({ place }) => fates.get(place) ?? { kind: 'refused' })
}

/** What of the locks that a job's end needs is among those that somebody has; null when nothing is. */
const lockOf = ({ job, ending }: FinishedJob, locked: ReadonlySet<string>): string | null => {
  if (movesCounters(ending) && locked.has(job.runId)) return job.runId
  return locked.has(job.id) ? job.id : null
}

/** The end of a job whose result the database would not take, such as text with a zero byte. */
export const rejected = (finished: FinishedJob, error: unknown): FinishedJob => ({
  ...finished,
  ending: { kind: 'failed', error: jobError('output_rejected', reasonToReject(finished, error)) },
})

/** How a job ends whose result the database gave up writing; one that brings nothing can only be tried again. */
export const cutShort = (finished: FinishedJob, error: unknown): FinishedJob => {
  const { ending, nextTry = { attempt: finished.job.attempt + 1, delayMs: null } } = finished
  if (placedOf(ending) === null) return finished
  return { ...finished, ending: tryAgain(nextTry, jobError('write_cut_short', reasonOfCut(error))) }
}

/** Whether nothing is written of it beside the row of its job, such as at the end of a stream whose items are all there. */
const bringsNothing = ({ ending }: FinishedJob): boolean => {
  const placed = placedOf(ending)
  if (placed === null) return true
  return placed.kind === 'output' ? placed.output === null : childrenIn(placed) === 0
}

/** Why it gave up, for people. */
export const reasonOfCut = (error: unknown): string => `the database gave up writing the result: ${reasonOf(error)}`

/** Why it would not, for people; `nameOf` tells of an item, by its place in the result, what it is called elsewhere. */
export const reasonToReject = (finished: FinishedJob, error: unknown, nameOf?: NameOfItem): string =>
  error instanceof WorkflowError
    ? error.message
    : `the result cannot be stored: ${whyRejected(finished, error, nameOf)}`

type NameOfItem = (index: number) => string

/** Of many items Postgres does not say which it means, and a place is told in place of the text. */
const whyRejected = ({ ending }: FinishedJob, error: unknown, nameOf?: NameOfItem): string => {
  const placed = placedOf(ending)
  if (databaseErrorOf(error) === null || placed === null) return reasonOf(error)
  const place = placed.kind === 'items' ? unstorableItem(placed.items) : unstorableJson(resultOf(placed))
  if (place === null) return reasonOf(error)
  const fault = unstorableFault(place)
  const index = /^\/(\d+)/.exec(place)?.[1]
  return nameOf === undefined || index === undefined ? fault : `${fault}; /${index} is ${nameOf(Number(index))}`
}

const resultOf = (placed: Exclude<Placed, { kind: 'items' }>): unknown => {
  switch (placed.kind) {
    case 'whole':
      return placed.result
    case 'output':
      return placed.output
    case 'input':
      return null
  }
}
