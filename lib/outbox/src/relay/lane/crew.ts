import type { RelaySettings } from '../options.ts'
import type { Owner } from '../own/owner.ts'
import type { BrokerLink } from '../publish/broker-link.ts'
import { tryUntilDone } from '../try-until-done.ts'
import type { Listener } from '../wake/listener.ts'
import type { Lookout } from '../wake/lookout.ts'
import type { OwnedLane } from './owned-lane.ts'
import type { PayloadMemory } from './payload-memory.ts'
import { runLane } from './run-lane.ts'

/** The lanes of one control session at work, each by itself. */
export type Crew = {
  /** Sets the lane to work, if it is not. A pod's lane that is not the relay's own is given up when it is empty. */
  start: (lane: OwnedLane) => void
  /** Gives every lane up: nothing new goes out, what is in flight is awaited, then the locks are freed. */
  releaseAll: () => Promise<void>
  /** Resolves when every lane has come to its end, and says whether the relay's own was emptied. */
  ended: () => Promise<boolean>
}

export type CrewMeans = {
  settings: RelaySettings
  owner: Owner
  link: BrokerLink
  listener: Listener
  lookout: Lookout
  memory: PayloadMemory
  /** Aborted when lanes are to be emptied and left. */
  draining: AbortSignal
  /** Aborted when there is no more time for it. */
  over: AbortSignal
}

export const createCrew = (means: CrewMeans): Crew => {
  const { settings, owner, link, listener, lookout, memory, draining, over } = means
  const { session, home } = owner
  const working = new Map<OwnedLane, Promise<void>>()
  let release = new AbortController()
  let emptied = true

  const work = async (lane: OwnedLane): Promise<void> => {
    const isHome = lane.lane === home.lane
    const stays = isHome || lane.kind !== 'pod'
    // Of its own lane a relay carries what is there before it ends. Others have neighbours to carry them.
    const signals = [session.lost, over, release.signal]
    const leaving = AbortSignal.any(isHome ? signals : [...signals, draining])
    const unwatch = link.watch(lane.bell.ring)
    listener.add(lane.lane, lane.bell.ring)
    const isEmpty = await runLane(lane, {
      settings,
      database: owner.database,
      link,
      lookout,
      memory,
      leaving,
      draining,
      stays,
    })
    listener.remove(lane.lane)
    unwatch()
    // As it was left the last time: it may have been given up and taken again.
    if (isHome) emptied = isEmpty
    if (isEmpty && !stays) await tryUntilDone(() => owner.release(lane, 'empty'), settings, session.lost)
    working.delete(lane)
  }

  return {
    start: (lane) => {
      if (!working.has(lane)) working.set(lane, work(lane))
    },
    releaseAll: async () => {
      release.abort()
      await Promise.all(working.values())
      release = new AbortController()
      // One that came up meanwhile may hold the fence of a key lane, which its heir could not have while we live.
      await link.drop()
      // All that are owned: a call before this one may have failed half-way, after their work had ended.
      for (const lane of owner.lanes()) await owner.release(lane, 'no broker')
    },
    ended: async () => {
      await Promise.all(working.values())
      return emptied
    },
  }
}
