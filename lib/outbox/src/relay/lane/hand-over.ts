import type { RelaySettings } from '../options.ts'
import { onAbort } from '../on-abort.ts'
import type { Owner } from '../own/owner.ts'
import { pause } from '../pause.ts'
import { tryUntilDone } from '../try-until-done.ts'

/** How a relay that is to stop finds out who takes the lanes that it leaves. */
export type HandOver = {
  /** Whether no neighbour takes them, as yet; null if there was no time to ask. */
  isAlone: () => Promise<boolean | null>
  /** Aborted before anybody hears that the relay is not alone: every lane but its own is to be let go, and at once. */
  begun: AbortSignal
  /**
   * Neighbours that come from now on get the lanes by the end of the session, and one that stops from now on waits for
   * that. Has the hand-over begin if there is one.
   *
   * @throws What went wrong in looking for them.
   */
  end: () => Promise<void>
}

export type HandOverMeans = {
  settings: RelaySettings
  owner: Pick<Owner, 'session' | 'neighbours'>
  /** Resolves when nothing is left at Postgres of the sessions that this relay had before. */
  formerGone: () => Promise<void>
  /** Aborted when lanes are to be emptied and left. */
  draining: AbortSignal
  /** Aborted when there is no more time for it. */
  over: AbortSignal
}

/** How often a relay that stops alone looks whether it still is, milliseconds. */
const lookAgainMs = 1_600

/**
 * Neighbours take what this relay does not own any more, at once. One that is alone carries it all until one comes:
 * after a restart of Postgres some may need longer to come back than this one.
 */
export const createHandOver = (
  { settings, owner: { session, neighbours }, formerGone, draining, over }: HandOverMeans,
  wait = pause,
): HandOver => {
  const tooLate = AbortSignal.any([session.lost, over])
  const begun = new AbortController()
  const ended = new AbortController()

  const leave = async (): Promise<boolean | null> => {
    await formerGone()
    const areThere = await tryUntilDone(neighbours.leave, settings, tooLate)
    if (areThere === true) begun.abort()
    return areThere === null ? null : !areThere
  }
  const leaveAndLook = async (): Promise<boolean | null> => {
    const isAlone = await leave()
    if (isAlone === true) await tryUntilDone(neighbours.keepLanes, settings, tooLate)
    return isAlone
  }
  let looking: Promise<boolean | null> | null = null
  const isAlone = () => (looking ??= leaveAndLook())

  const lookAgain = async (): Promise<void> => {
    const isEnough = AbortSignal.any([tooLate, ended.signal])
    while (await isAlone()) {
      await wait(lookAgainMs, isEnough)
      if (isEnough.aborted) return
      // That alone would not do: the one that has come may be about to leave its lanes as well.
      if ((await tryUntilDone(neighbours.areThere, settings, isEnough)) === true) looking = leaveAndLook()
    }
  }
  let watching = Promise.resolve()
  const unwatch = onAbort(draining, () => {
    if (!settings.adopt) return
    watching = lookAgain()
    // What it fails of is told at the end, and is not unheard until then.
    void Promise.allSettled([watching])
  })
  return {
    isAlone,
    begun: begun.signal,
    end: async () => {
      unwatch()
      ended.abort()
      await watching
      if (looking !== null && (await looking) === true) looking = leave()
      await looking
    },
  }
}
