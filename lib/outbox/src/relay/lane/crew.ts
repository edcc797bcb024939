import { reasonOf } from '../../errors.ts'
import type { RelaySettings } from '../options.ts'
import { onAbort } from '../on-abort.ts'
import type { Owner } from '../own/owner.ts'
import type { BrokerLink } from '../publish/broker-link.ts'
import { createLaneChannel, type LaneChannel } from '../publish/lane-channel.ts'
import { holdsRows } from '../read/holds-rows.ts'
import { deleteConfirmed } from '../settle/delete-confirmed.ts'
import { tryUntilDone } from '../try-until-done.ts'
import type { Listener } from '../wake/listener.ts'
import type { Lookout } from '../wake/lookout.ts'
import type { HandOver } from './hand-over.ts'
import type { OwnedLane } from './owned-lane.ts'
import type { PayloadMemory } from './payload-memory.ts'
import { runLane } from './run-lane.ts'

/** The lanes of one control session at work, each by itself. */
export type Crew = {
  /** Sets the lane to work, if it is not. A pod's lane that is not the relay's own is given up when it is empty. */
  start: (lane: OwnedLane) => void
  /** Gives every lane up: nothing new goes out, what is in flight is awaited, then the locks are freed. */
  releaseAll: () => Promise<void>
  /**
   * Resolves when every lane has come to its end, and says whether all of them were emptied. May be asked for again, also
   * meanwhile: the answer then counts the lanes that were set to work after the first time as well.
   *
   * @throws What a fault of ours threw in the work on one, which ends the session, or in leaving it.
   */
  ended: () => Promise<boolean>
}

export type CrewMeans = {
  settings: RelaySettings
  owner: Owner
  link: BrokerLink
  listener: Listener
  lookout: Lookout
  memory: PayloadMemory
  handOver: HandOver
  /** Aborted when lanes are to be emptied and left. */
  draining: AbortSignal
  /** Aborted when there is no more time for it. */
  over: AbortSignal
}

export const createCrew = (means: CrewMeans): Crew => {
  const { settings, owner, link, listener, lookout, memory, handOver, draining, over } = means
  const { session, home } = owner
  const working = new Map<OwnedLane, Promise<void>>()
  let release = new AbortController()
  /** Lanes that came to their end with something left in them. One may be given up, and taken again. */
  const left = new Set<number>()
  /** Lanes that came to their end in the stop of a relay without a neighbour: it has them until it ends, or one comes. */
  const kept = new Map<OwnedLane, LaneChannel>()
  /** The relay's own lane, when it was emptied at a stop: nobody else has it until the relay ends. */
  let restingHome: OwnedLane | null = null

  /** Lets the neighbour have the lane at once if nothing of it can be on its way; else the end of the session does. */
  const letGo = async (lane: OwnedLane, channel: LaneChannel): Promise<void> => {
    const tooLate = AbortSignal.any([session.lost, over])
    try {
      // It would publish again what was confirmed and is not deleted.
      await tryUntilDone(() => deleteConfirmed(lane), settings, tooLate)
      if (!tooLate.aborted && (await channel.letGo())) {
        await tryUntilDone(() => owner.release(lane, 'stopping'), settings, tooLate)
      }
    } finally {
      channel.close()
    }
  }

  /**
   * What went wrong with lanes, and in leaving them. Each goes on without the others, and nobody may be asking for the
   * end yet.
   */
  const failures: unknown[] = []
  const tellAtEnd = (failure: unknown) => void failures.push(failure)

  let lettingGo: Promise<unknown> = Promise.resolve()
  onAbort(handOver.begun, () => {
    lettingGo = Promise.all([...kept].map(([lane, channel]) => letGo(lane, channel).catch(tellAtEnd)))
  })

  const leave = async (lane: OwnedLane, channel: LaneChannel): Promise<void> => {
    await handOver.isAlone()
    // Nothing comes between the two: a lane is let go here, or it is kept when the hand-over begins.
    if (handOver.begun.aborted) await letGo(lane, channel)
    else kept.set(lane, channel)
  }

  const work = async (lane: OwnedLane): Promise<void> => {
    const isHome = lane.lane === home.lane
    const stays = isHome || lane.kind !== 'pod'
    const signals = [session.lost, over, release.signal]
    const leaving = AbortSignal.any(isHome ? signals : [...signals, handOver.begun])
    const unwatch = link.watch(lane.bell.ring)
    listener.add(lane.lane, lane.bell.ring)
    const channel = createLaneChannel(lane, { database: owner.database, link, observe: settings.observe })
    const end = await runLane(lane, { settings, link, channel, lookout, memory, leaving, draining, stays })
    listener.remove(lane.lane)
    unwatch()
    // Of one that a neighbour takes over it is enough that it slept; where there is no time to look again, it is not.
    const isCut = signals.some(({ aborted }) => aborted)
    const isEmpty = end === 'empty' || (end === 'asleep' && !isCut)
    // What the broker refuses may be left, and not what it says nothing of.
    if (isEmpty && !lane.held.lacksConfirm()) left.delete(lane.lane)
    else left.add(lane.lane)
    if (isEmpty && !stays) {
      channel.close()
      await tryUntilDone(() => owner.release(lane, 'empty'), settings, session.lost)
    } else if (draining.aborted && !isHome && !isCut) {
      await leave(lane, channel).catch(tellAtEnd)
    } else {
      channel.close()
      // Where no lanes are adopted, nothing else is carried or waited for.
      if (draining.aborted && isEmpty && !isCut && settings.adopt) restingHome = lane
    }
    working.delete(lane)
  }

  /** Nobody works on its lane any more, and no neighbour can have it while the session lasts. */
  const failed = (fault: unknown): void => {
    tellAtEnd(fault)
    session.giveUp(`the work on a lane failed: ${reasonOf(fault)}`)
  }

  const start = (lane: OwnedLane): void => {
    if (!working.has(lane)) working.set(lane, work(lane).catch(failed))
  }

  /**
   * A lane that was emptied, and kept, is read by nobody. What came into it meanwhile, a neighbour that stopped just now
   * found in the hands of one that keeps its lanes. One that stops later waits for the end of this one. A lane that could
   * not be looked into counts as one that is left.
   */
  const carryWhatCame = async (): Promise<void> => {
    let isMore = false
    for (const [lane, channel] of kept) {
      if (!(await holdsMore(lane))) continue
      kept.delete(lane)
      channel.close()
      start(lane)
      isMore = true
    }
    await carryWhatCameHome()
    // Meanwhile those may have taken long.
    if (isMore) await carryWhatCameHome()
  }

  const carryWhatCameHome = async (): Promise<void> => {
    if (restingHome !== null && (await holdsMore(restingHome))) start(restingHome)
    await Promise.all(working.values())
  }

  const holdsMore = async ({ lane }: OwnedLane): Promise<boolean> => {
    const holds = await tryUntilDone(() => holdsRows(session, lane), settings, AbortSignal.any([session.lost, over]))
    if (holds === null) left.add(lane)
    return holds === true
  }

  const end = async (): Promise<boolean> => {
    try {
      await Promise.all(working.values())
      await handOver.end()
      if (handOver.begun.aborted) {
        // That may take long, and something may come home meanwhile.
        await lettingGo
        await carryWhatCameHome()
      } else {
        await carryWhatCame()
      }
    } finally {
      for (const channel of kept.values()) channel.close()
      kept.clear()
      restingHome = null
    }
    if (failures.length > 0) throw failures[0]
    return left.size === 0
  }
  /** Settled after the last end that was asked for: at once with it, another one would find lanes of its half-way. */
  let lastEnd: Promise<unknown> = Promise.resolve()

  return {
    start,
    releaseAll: async () => {
      release.abort()
      await Promise.all(working.values())
      release = new AbortController()
      // One that came up meanwhile may hold the fence of a key lane, which its heir could not have while we live.
      await link.drop('the lanes were given up while there was none')
      // All that are owned: a call before this one may have failed half-way, after their work had ended.
      for (const lane of owner.lanes()) await owner.release(lane, 'no broker')
      // Those of others are theirs now.
      for (const lane of left) if (lane !== home.lane) left.delete(lane)
    },
    ended: async () => {
      const ended = lastEnd.then(end)
      lastEnd = Promise.allSettled([ended])
      return ended
    },
  }
}
