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
  /** Has it begin its session anew, as where another one has gone silent, unless it did so since then (`performance.now()`). */
  renew: (sinceMs: number) => void
}

/**
 * Listens on `outbox_lane_<lane>` for each lane. A session that ends, or takes no LISTEN, as that of a standby does, has
 * another one follow it, later and later.
 */
export const createListener = (settings: RelaySettings): Listener => {
  const { observe } = settings
  const listening = Promise.withResolvers<void>()
  const rings = new Map<string, () => void>()
  /** The session, when it listens to all lanes. */
  let current: BellSession | null = null
  /** Ends the session that there is, or is to be, for this reason. */
  let endSession: ((reason: unknown) => void) | null = null
  let heardAtMs = Number.NEGATIVE_INFINITY
  /** Sessions in a row that did not come to listen, and the one before them. */
  let failed = 0

  const heard = () => {
    failed = 0
    heardAtMs = performance.now()
    observe({ kind: 'bell.listening' })
    // Whatever was written while nobody listened rang for nobody.
    for (const ring of rings.values()) ring()
    listening.resolve()
  }

  /** The life of one session; gives why it ended. */
  const live = async (session: BellSession, signal: AbortSignal): Promise<unknown> => {
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
    const unwatch = onAbort(signal, () => end('the listener is to end'))
    try {
      // Of one that pg-listen has given up meanwhile pg may say nothing at all.
      await Promise.race([session.connect(), ended.promise])
      // Those that are added meanwhile as well.
      for (const channel of rings.keys()) await Promise.race([session.listenTo(channel), ended.promise])
      current = session
      heard()
      return await ended.promise
    } catch (reason) {
      return reason
    } finally {
      unwatch()
      current = null
      await session.close()
    }
  }

  /** As `live`. What the address names, such as the file of a certificate, is read here, and need not be there always. */
  const openAndLive = async (signal: AbortSignal): Promise<unknown> => {
    let session
    try {
      session = createBellSession(settings, (channel) => rings.get(channel)?.())
    } catch (error) {
      return error
    }
    return live(session, signal)
  }

  const keep = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      const reason = reasonOf(await openAndLive(signal))
      if (signal.aborted) return
      failed += 1
      observe({ kind: 'bell.lost', reason: failed === 1 ? reason : `attempt ${failed} to listen: ${reason}` })
      // The server's other clients lost theirs at the same moment.
      await pause(backoffMs(failed, reconnectBackoff), signal)
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
      if (heardAtMs < sinceMs) endSession?.('another session has gone silent')
    },
  }
}

const channelOf = (lane: number): string => `outbox_lane_${lane}`
