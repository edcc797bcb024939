import { reasonOf } from '../../errors.ts'
import { backoffMs, reconnectBackoff } from '../backoff.ts'
import { onAbort } from '../on-abort.ts'
import type { RelaySettings } from '../options.ts'
import { pause } from '../pause.ts'
import { type BellSession, createBellSession } from './bell-session.ts'

/** Hears the lanes' doorbells, by one session after the other. Losing one costs only latency: the poll finds the rows. */
export type Listener = {
  /** Resolves when it has listened for the first time. */
  listening: Promise<void>
  /**
   * Has a session, and another one after each that ends, until the signal is aborted; resolves when the last one is closed.
   *
   * @throws What a fault of ours threw.
   */
  keep: (signal: AbortSignal) => Promise<void>
  /** Rings for every notification of the lane, and after each time in which none could be heard. */
  add: (lane: number, ring: () => void) => void
  remove: (lane: number) => void
  /**
   * Has it begin its session anew, as where another one has gone silent, unless it began it, or came to listen by it, since
   * then (`performance.now()`).
   */
  renew: (sinceMs: number) => void
}

/** A session that listened for so long, milliseconds, is no part of a trouble that was there before. */
const settledMs = 10_000

/** How a session went: why it ended, and how long it listened to all lanes, or null if it did not come to that. */
type Lived = { reason: unknown; listenedMs: number | null }

/**
 * Listens on `outbox_lane_<lane>` for each lane. A session that ends, or takes no LISTEN, as that of a standby does, has
 * another one follow it, later and later; so has one that ends again and again soon after, since each has all lanes look for
 * what they missed.
 */
export const createListener = (settings: RelaySettings, now: () => number = () => performance.now()): Listener => {
  const { observe } = settings
  const listening = Promise.withResolvers<void>()
  const rings = new Map<string, () => void>()
  /** The session, when it listens to all lanes. */
  let current: BellSession | null = null
  /** Ends the session that there is, or is to be, for this reason. */
  let endSession: ((reason: unknown) => void) | null = null
  /** When the last session began, or came to listen. */
  let aliveAtMs = Number.NEGATIVE_INFINITY

  const heard = () => {
    aliveAtMs = now()
    observe({ kind: 'bell.listening' })
    // Whatever was written while nobody listened rang for nobody.
    for (const ring of rings.values()) ring()
    listening.resolve()
  }

  const live = async (session: BellSession, signal: AbortSignal): Promise<Lived> => {
    let listenedAtMs: number | null = null
    const ended = Promise.withResolvers<never>()
    // It may end between two waits.
    void Promise.allSettled([ended.promise])
    void session.ended.then(() => ended.reject('the session ended'))
    const end = (reason: unknown) => {
      ended.reject(reason)
      // Nobody waits for that yet, but for an answer.
      if (current !== session) session.destroy()
    }
    endSession = end
    aliveAtMs = now()
    const unwatch = onAbort(signal, () => end('the listener is to end'))
    try {
      // Of one that pg-listen has given up meanwhile pg may say nothing at all.
      await Promise.race([session.connect(), ended.promise])
      // Those that are added meanwhile as well.
      for (const channel of rings.keys()) await Promise.race([session.listenTo(channel), ended.promise])
      current = session
      listenedAtMs = now()
      heard()
      return await ended.promise
    } catch (reason) {
      return { reason, listenedMs: listenedAtMs === null ? null : now() - listenedAtMs }
    } finally {
      unwatch()
      current = null
      await session.close()
    }
  }

  /** As `live`. What the address names, such as the file of a certificate, is read here, and need not be there always. */
  const openAndLive = async (signal: AbortSignal): Promise<Lived> => {
    let session
    try {
      session = createBellSession(settings, (channel) => rings.get(channel)?.())
    } catch (reason) {
      return { reason, listenedMs: null }
    }
    return live(session, signal)
  }

  const keep = async (signal: AbortSignal): Promise<void> => {
    /** Sessions in a row that did not last. */
    let brief = 0
    /** Those of them, in a row, that did not come to listen. */
    let unheard = 0
    while (!signal.aborted) {
      const { reason, listenedMs } = await openAndLive(signal)
      if (signal.aborted) return
      brief = listenedMs !== null && listenedMs >= settledMs ? 1 : brief + 1
      unheard = listenedMs === null ? unheard + 1 : 0
      const retryInMs = backoffMs(brief, reconnectBackoff)
      const attempt = unheard === 0 ? '' : `attempt ${unheard} to listen: `
      observe({ kind: 'bell.lost', reason: attempt + reasonOf(reason), retryInMs })
      // The server's other clients lost theirs at the same moment.
      await pause(retryInMs, signal)
    }
  }

  const after = async (before: Promise<void>, work: (session: BellSession) => Promise<void>): Promise<void> => {
    await before
    const session = current
    // The next one listens to all lanes.
    if (session === null) return
    try {
      await work(session)
    } catch (error) {
      if (current === session) endSession?.(error)
    }
  }
  // One statement at a time.
  let last = Promise.resolve()
  const inTurn = (work: (session: BellSession) => Promise<void>) => {
    last = after(last, work)
  }
  return {
    listening: listening.promise,
    keep,
    add: (lane, ring) => {
      const channel = channelOf(lane)
      rings.set(channel, ring)
      inTurn(async (session) => {
        await session.listenTo(channel)
        ring()
      })
    },
    remove: (lane) => {
      const channel = channelOf(lane)
      rings.delete(channel)
      inTurn((session) => session.unlisten(channel))
    },
    renew: (sinceMs) => {
      if (aliveAtMs < sinceMs) endSession?.('another session has gone silent')
    },
  }
}

const channelOf = (lane: number): string => `outbox_lane_${lane}`
