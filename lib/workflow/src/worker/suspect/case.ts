import { WorkflowError } from '../../errors.ts'
import type { Ending } from '../../job/held-job.ts'
import type { HeldPages } from '../stream/held-pages.ts'
import { openTimeBudget, type TimeBudget } from '../attempt/time-budget.ts'
import type { Suspicion } from './judge.ts'
import type { Answer, Given, Suspect } from './messages.ts'
import type { Ward } from './ward.ts'

/** What has come of a suspect; `lost` gives the attempt up. */
export type Outcome = Exclude<Answer, { kind: 'broken' }>

export type PagesOfSuspect = Pick<HeldPages, 'write' | 'seal' | 'again' | 'next' | 'job'>

/** A suspect, what is known of it, and whoever waits for what comes of it. */
export type Case = {
  id: number
  suspect: Suspect
  lost: AbortSignal
  pages: PagesOfSuspect | null
  receivedMs: number
  suspicion: Suspicion
  hasBegun: boolean
  cameMs: number
  /** Ends its wait for a turn. */
  patience: NodeJS.Timeout | undefined
  begunMs: number
  /** Its own in the ward, while its function is at work there. */
  time: TimeBudget | null
  /** A page of it is being written for longer than that takes: somebody holds the job, or its run, locked. */
  isHeldUp: boolean
  settled: PromiseWithResolvers<Outcome>
}

export const openCase = (
  id: number,
  suspect: Suspect,
  lost: AbortSignal,
  pages: PagesOfSuspect | null,
  receivedMs: number,
  suspicion: Suspicion,
): Case => ({
  id,
  suspect,
  lost,
  pages,
  receivedMs,
  suspicion,
  hasBegun: false,
  cameMs: performance.now(),
  patience: undefined,
  begunMs: 0,
  time: null,
  isHeldUp: false,
  settled: Promise.withResolvers(),
})

/** It is about to be attempted in a ward: what becomes of that may be its doing. */
export const begin = (one: Case): void => {
  one.hasBegun = true
  one.begunMs = performance.now()
}

/** Its function is about to be called in a ward, which is killed if it takes so much longer than it may. */
export const beginTime = (one: Case, ward: Ward, overtimeMs: number): void => {
  const { timeoutMs } = one.suspect
  one.time?.close()
  one.time = openTimeBudget({ ms: timeoutMs + overtimeMs }, () => ward.kill(`it took longer than ${timeoutMs} ms`))
}

/**
 * Writes a page that it gave, and tells the ward so, or why not. That may take as long as the database is away, or as somebody
 * holds its run locked, and is none of its function's time. `heldUp` is called when it takes longer than `heldMs`.
 */
export const takePage = async (
  one: Case,
  given: Given,
  ward: Ward,
  { heldMs, heldUp }: { heldMs: number; heldUp: () => void },
): Promise<void> => {
  const write = async () => (given === null ? one.pages?.seal() : one.pages?.write(given))
  const late = setTimeout(() => {
    one.isHeldUp = true
    heldUp()
  }, heldMs).unref()
  try {
    await (one.time === null ? write() : one.time.pauseFor(write()))
    const { emitted, attempt } = one.pages?.job() ?? one.suspect.job
    ward.taken(one.id, { emitted, attempt })
  } catch (error) {
    ward.taken(one.id, { error })
  } finally {
    clearTimeout(late)
    one.isHeldUp = false
  }
}

/** Nobody waits for it any more, or only to hear that it was cancelled. */
export const settleLost = (one: Case): void => {
  const reason: unknown = one.lost.reason
  if (!(reason instanceof WorkflowError)) one.settled.reject(reason)
  else if (reason.code === 'cancelled') one.settled.resolve(ended({ kind: 'cancelled' }, one))
  else one.settled.resolve({ kind: 'lost' })
}

export const ended = (ending: Ending, { hasBegun, begunMs }: Case): Outcome => ({
  kind: 'ended',
  ending,
  elapsedMs: hasBegun ? performance.now() - begunMs : 0,
})
