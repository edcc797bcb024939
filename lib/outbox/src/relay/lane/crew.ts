import type { RelaySettings } from '../options.ts'
import { onAbort } from '../on-abort.ts'
import type { Owner } from '../own/owner.ts'
import { pause } from '../pause.ts'
import type { BrokerLink } from '../publish/broker-link.ts'
import { createLaneChannel, type LaneChannel } from '../publish/lane-channel.ts'
import { deleteConfirmed } from '../settle/delete-confirmed.ts'
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
  /** Whether no neighbour takes what a relay leaves that is to stop, as yet; null if it could not be asked for. */
  isAlone: () => Promise<boolean | null>
  /** Resolves when every lane has come to its end, and says whether all of them were emptied. */
  ended: () => Promise<boolean>
}

export type CrewMeans = {
  settings: RelaySettings
  owner: Owner
  link: BrokerLink
  listener: Listener
  lookout: Lookout
  memory: PayloadMemory
  /** Resolves when nothing is left at Postgres of the sessions that this relay had before. */
  formerGone: () => Promise<void>
  /** Aborted when lanes are to be emptied and left. */
  draining: AbortSignal
  /** Aborted when there is no more time for it. */
  over: AbortSignal
}

/** How often a relay that stops alone looks whether it still is, milliseconds. */
const lookAgainMs = 1_600

export const createCrew = (means: CrewMeans): Crew => {
  const { settings, owner, link, listener, lookout, memory, formerGone, draining, over } = means
  const { session, home, neighbours } = owner
  const working = new Map<OwnedLane, Promise<void>>()
  let release = new AbortController()
  /** Lanes that came to their end with something left in them. One may be given up, and taken again. */
  const left = new Set<number>()
  const handingOver = new AbortController()
  /** Lanes that a relay which is alone has emptied at its stop: it owns them to its end, unless a neighbour comes. */
  const emptied = new Map<OwnedLane, LaneChannel>()
  const allEnded = new AbortController()

  const leaveAndLook = async (): Promise<boolean | null> => {
    const tooLate = AbortSignal.any([session.lost, over])
    await formerGone()
    const areThere = await tryUntilDone(neighbours.leave, settings, tooLate)
    if (areThere === false) await tryUntilDone(neighbours.keepLanes, settings, tooLate)
    return areThere === null ? null : !areThere
  }
  let looking: Promise<boolean | null> | null = null
  const isAlone = () => (looking ??= leaveAndLook())

  const hasHeir = async (): Promise<boolean> => settings.adopt && (await isAlone()) === false

  /** Lets the neighbour have the lane at once if nothing of it can be on its way; else the end of the session does. */
  const letGo = async (lane: OwnedLane, channel: LaneChannel): Promise<void> => {
    const tooLate = AbortSignal.any([session.lost, over])
    // It would publish again what was confirmed and is not deleted.
    await tryUntilDone(() => deleteConfirmed(lane), settings, tooLate)
    if (!tooLate.aborted && (await channel.letGo())) {
      await tryUntilDone(() => owner.release(lane, 'stopping'), settings, tooLate)
    }
  }

  /**
   * Neighbours take what this relay does not own any more, at once. One that is alone carries it all until one comes: after
   * a restart of Postgres some may need longer to come back than this one.
   */
  const handOver = async (): Promise<void> => {
    if (!settings.adopt) return
    const tooLate = AbortSignal.any([session.lost, over, allEnded.signal])
    while (await isAlone()) {
      await pause(lookAgainMs, tooLate)
      if (tooLate.aborted) return
      if ((await tryUntilDone(neighbours.areThere, settings, tooLate)) === true) looking = leaveAndLook()
    }
    if (!(await hasHeir())) return
    handingOver.abort()
    for (const [lane, channel] of emptied) await letGo(lane, channel)
  }
  let handing = Promise.resolve()
  const unwatchEnd = onAbort(draining, () => {
    handing = handOver()
  })

  const work = async (lane: OwnedLane): Promise<void> => {
    const isHome = lane.lane === home.lane
    const stays = isHome || lane.kind !== 'pod'
    const signals = [session.lost, over, release.signal]
    const leaving = AbortSignal.any(isHome ? signals : [...signals, handingOver.signal])
    const unwatch = link.watch(lane.bell.ring)
    listener.add(lane.lane, lane.bell.ring)
    const channel = createLaneChannel(lane, { database: owner.database, link, observe: settings.observe })
    const end = await runLane(lane, { settings, link, channel, lookout, memory, leaving, draining, stays })
    listener.remove(lane.lane)
    unwatch()
    // Of one that a neighbour takes over it is enough that it slept; where there is no time to look again, it is not.
    const isCut = signals.some(({ aborted }) => aborted)
    const isEmpty = end === 'empty' || (end === 'asleep' && !isCut)
    if (isEmpty) left.delete(lane.lane)
    else left.add(lane.lane)
    const isLeft = draining.aborted && settings.adopt && !isHome && !isCut
    if (isEmpty && !stays) {
      channel.close()
      await tryUntilDone(() => owner.release(lane, 'empty'), settings, session.lost)
    } else if (isLeft && (await hasHeir())) {
      await letGo(lane, channel)
    } else if (isLeft) {
      emptied.set(lane, channel)
    }
    if (!emptied.has(lane)) channel.close()
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
      // Those of others are theirs now.
      for (const lane of left) if (lane !== home.lane) left.delete(lane)
    },
    isAlone,
    ended: async () => {
      await Promise.all(working.values())
      unwatchEnd()
      allEnded.abort()
      await handing
      for (const channel of emptied.values()) channel.close()
      return left.size === 0
    },
  }
}
