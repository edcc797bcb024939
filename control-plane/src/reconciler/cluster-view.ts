import { backoffMs } from '@esteira/outbox/internal/connection'
import type { NoAnswer } from './cluster/answer.ts'
import type { Anchor } from './cluster/write-cron-jobs.ts'
import type { CronJobs } from './cron-jobs.ts'
import { createPicture, type Picture } from './picture.ts'

export type ViewEvent =
  | { kind: 'cluster.unavailable'; failures: number; pauseMs: number; reason: string }
  | { kind: 'cluster.back'; failures: number }
  | { kind: 'anchor.missing'; reason: string }
  | { kind: 'watch.broken'; reason: string }

/** What one knows of the cluster: how it is, that the release is being removed, or why nothing is known. */
export type View =
  | { kind: 'seen'; anchor: Anchor; picture: Picture }
  | { kind: 'uninstalling'; words: string }
  | { kind: 'away'; trouble: 'refused' | 'unreachable'; code: string | null; words: string }

export type ClusterView = {
  /** The view of now, from a look that is taken when it is time for one. */
  look: () => Promise<View>
  /** Takes the next look at once: something was not as it seemed. */
  doubt: () => void
  /** Leaves the API server alone for a while, as it asks, or since it does not answer. */
  hold: (trouble: Extract<NoAnswer, { kind: 'later' | 'unknown' }>) => void
  /** Forgets all, and ends what is under way. */
  close: () => Promise<void>
}

type ViewOptions = {
  cronJobs: CronJobs
  /** Called when a watch tells of what is not our doing. */
  onNews: () => void
  observe: (event: ViewEvent) => void
  /** From one list to the next; it is spread by a sixth, so that several releases do not list in step. */
  resyncMs: number
  /** For tests: the times of what fails. */
  backoff?: { firstMs: number; capMs: number }
}

const unavailableBackoff = { firstMs: 1_000, capMs: 30_000 }

/** A watch that ends sooner did not work, and so would the next one; the list comes in its time then. */
const shortestWatchMs = 5_000

/**
 * Keeps a view of the cluster: a list, and a watch that goes on from it and ends when the next list is due. So whatever
 * becomes of a watch, one that hangs too, it costs one resync at most.
 */
export const createClusterView = ({
  cronJobs,
  onNews,
  observe,
  resyncMs,
  backoff = unavailableBackoff,
}: ViewOptions): ClusterView => {
  let view: View | undefined
  let dueMs = 0
  let failures = 0
  let watch: { end: AbortController; ended: Promise<void> } | undefined

  const endWatch = async (): Promise<void> => {
    watch?.end.abort()
    await watch?.ended
    watch = undefined
  }

  const fail = (answer: NoAnswer): View => {
    failures += 1
    const pauseMs = Math.max(backoffMs(failures, backoff), answer.kind === 'later' ? answer.afterMs : 0)
    dueMs = performance.now() + pauseMs
    observe({ kind: 'cluster.unavailable', failures, pauseMs, reason: answer.words })
    return answer.kind === 'refused'
      ? { kind: 'away', trouble: 'refused', code: answer.code, words: answer.words }
      : { kind: 'away', trouble: 'unreachable', code: null, words: answer.words }
  }

  const lookNow = async (): Promise<View> => {
    await endWatch()
    const anchor = await cronJobs.anchor()
    if (anchor.kind === 'missing') {
      dueMs = performance.now() + resyncMs
      // At each look: nothing ticks, and one line at its beginning would be long gone when somebody asks why.
      observe({ kind: 'anchor.missing', reason: anchor.words })
      return { kind: 'uninstalling', words: anchor.words }
    }
    if (anchor.kind !== 'ok') return fail(anchor)
    const listed = await cronJobs.list()
    if (listed.kind !== 'ok') return fail(listed)
    if (failures > 0) observe({ kind: 'cluster.back', failures })
    failures = 0
    const picture = createPicture(listed.value.items)
    follow(picture, listed.value.resourceVersion)
    return { kind: 'seen', anchor: anchor.value, picture }
  }

  const follow = (picture: Picture, from: string): void => {
    const seconds = Math.max(1, Math.round((resyncMs * (5 / 6 + Math.random() / 3)) / 1_000))
    const begunMs = performance.now()
    // Past the time at which the server ends the watch: one that is still there then leads nowhere.
    dueMs = begunMs + seconds * 1_000 + 2_000
    const end = new AbortController()
    const onSeen = (seen: Parameters<Picture['see']>[0]): void => {
      if (picture.see(seen)) onNews()
    }
    const ended = (async () => {
      const how = await cronJobs.watch({ from, seconds, onSeen }, end.signal)
      if (end.signal.aborted) return
      if (how.kind !== 'ended') observe({ kind: 'watch.broken', reason: how.words })
      if (performance.now() - begunMs < Math.min(shortestWatchMs, seconds * 900)) return
      if (view?.kind === 'seen') dueMs = 0
      onNews()
    })()
    watch = { end, ended }
  }

  return {
    look: async () => {
      if (view === undefined || performance.now() >= dueMs) view = await lookNow()
      return view
    },
    doubt: () => {
      if (view?.kind === 'seen') dueMs = 0
    },
    hold: (trouble) => {
      view = fail(trouble)
    },
    close: async () => {
      await endWatch()
      view = undefined
      failures = 0
      dueMs = 0
    },
  }
}
