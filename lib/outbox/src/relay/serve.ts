import { spreadMs } from './backoff.ts'
import { endTogether } from './end-together.ts'
import { createCrew, type CrewMeans } from './lane/crew.ts'
import { createHandOver } from './lane/hand-over.ts'
import { onAbort } from './on-abort.ts'
import type { Backend } from './own/backend.ts'
import type { LastOrphan } from './own/find-orphans.ts'
import { firstTendMs, tendMs, tendRegister } from './own/tend-register.ts'
import { pause } from './pause.ts'
import { holdsRows } from './read/holds-rows.ts'
import { tryUntilDone } from './try-until-done.ts'
import { createBell } from './wake/bell.ts'
import { createLookout } from './wake/lookout.ts'
import { within } from './within.ts'

/** How often a relay asks for its lane while a neighbour owns it, and for lanes that nobody owns, milliseconds. */
const sweepMs = 1_600

/** How many lanes without an owner are taken at a time, so that neighbours take some as well. */
const adoptAtATime = 4

/** Where as many were taken there may be more, and it asks again this soon, milliseconds. */
const nextSweepMs = 200

/** How long confirms are awaited after the control session was lost, milliseconds. */
const lastConfirmsMs = 2_000

/** How long the statements that run when the time is over may take: they delete what was confirmed, milliseconds. */
const lastStatementsMs = 1_000

/** How often to look whether Postgres has ended a session that was lost, milliseconds. */
const formerMs = 200

/** The most lanes with rows that one relay carries at a time: each may have a window of messages in memory. */
const mostLanes = 32

/** `former`: sessions that the relay lost, and that may live on at Postgres. `had`: the lanes that any of them owned. */
export type ServeMeans = Omit<CrewMeans, 'lookout' | 'handOver'> & {
  former: readonly Backend[]
  had: ReadonlySet<number>
}

/** `emptied`: nothing was left in the lanes. `isLost`: the session ended by itself, and there is time for another one. */
export type Served = { emptied: boolean; isLost: boolean }

/**
 * The life of one control session, to its end or to that of the relay: takes lanes and sets them to work. Where its
 * end takes too long, or is given up, it closes the session; else whoever opened that does.
 *
 * Lanes are asked for only while the broker is there. A relay that gave them up because it was gone would otherwise take
 * them again before a neighbour who can reach it.
 */
export const serve = async (means: ServeMeans): Promise<Served> => {
  const { settings, owner, link, former, had, draining, over } = means
  const { session } = owner
  const tooLate = AbortSignal.any([session.lost, over])
  const loss = Promise.withResolvers<void>()
  onAbort(session.lost, loss.resolve)

  /** What is left of them would be taken for a neighbour that carries the lanes. */
  const awaitFormer = async (): Promise<void> => {
    const areThere = async () => (await owner.stillThere(former)).length > 0
    while (former.length > 0 && (await tryUntilDone(areThere, settings, tooLate)) === true) {
      await pause(formerMs, tooLate)
    }
  }
  let gone: Promise<void> | null = null
  const formerGone = () => (gone ??= awaitFormer())

  const handOver = createHandOver({ settings, owner, formerGone, draining, over })
  const lookout = createLookout(settings, session)
  const crew = createCrew({ ...means, handOver, lookout })
  const attention = createBell()
  const ending = AbortSignal.any([session.lost, draining])
  let linkedAtMs = performance.now()
  let tendAtMs = performance.now() + spreadMs(firstTendMs)

  /** Says whether there may be more. */
  const takeLanes = async (): Promise<boolean> => {
    const home = await owner.ownHome()
    if (home !== null) crew.start(home)
    const withRows = owner.lanes().filter(({ holdsDoorbell }) => !holdsDoorbell)
    const room = settings.adopt ? Math.min(adoptAtATime, mostLanes - withRows.length) : 0
    return room > 0 && (await owner.adopt(room, crew.start)) === adoptAtATime
  }

  /** A Postgres that says nothing must not hold up the end. */
  const hurry = async (): Promise<void> => {
    // Whoever waits for that end hears what went wrong.
    await within(lastStatementsMs, Promise.allSettled([crew.ended()]))
    await owner.close()
  }

  /** A pod may end before its relay owns its lane. Says whether there was time to ask for it, where it holds anything. */
  const takeHomeAtLast = async (): Promise<boolean> => {
    await formerGone()
    while (!link.up() && !tooLate.aborted) {
      const holds = await tryUntilDone(() => holdsRows(session, owner.home.lane), settings, tooLate)
      if (holds === false) return true
      await attention.wait(sweepMs, tooLate)
    }
    const home = await tryUntilDone(owner.ownHome, settings, tooLate)
    if (home !== null) crew.start(home)
    return !tooLate.aborted
  }

  /**
   * Nor need it own the lanes that are no pod's own yet, its own that a neighbour had taken, or again those that it had
   * before a loss, which nobody carries after it where no neighbour adopts lanes: one that stopped just before may be about
   * to leave them. Says whether there was time for it.
   *
   * A look whether a lane holds anything passes all that is deleted there and kept by somebody's snapshot. So one that holds
   * nothing is looked into once, and once more if others were waited for, since something may have come meanwhile; and one
   * that holds rows not again while its owner has it, which may empty it.
   */
  const takeOrphansAtLast = async (): Promise<boolean> => {
    if (!settings.adopt) return true
    const looks = new Map<number, boolean>()
    const holds = async ({ lane: { lane }, isHeld }: LastOrphan): Promise<boolean> => {
      const known = looks.get(lane)
      if (known === false || (known === true && isHeld)) return known
      const look = await holdsRows(session, lane)
      looks.set(lane, look)
      return look
    }
    /** Says whether some that hold rows cannot be taken yet. */
    const takeWithRows = async (): Promise<boolean> => {
      let isLeft = false
      for (const orphan of await owner.lastOrphans([owner.home.lane, ...had])) {
        if (!(await holds(orphan))) continue
        if (orphan.isHeld || !link.up()) isLeft = true
        else await owner.takeAll([orphan.lane], crew.start)
      }
      return isLeft
    }
    /** Says whether some had to be waited for. */
    const takeAllWithRows = async (): Promise<boolean> => {
      let waited = false
      while ((await handOver.isAlone()) !== false && (await tryUntilDone(takeWithRows, settings, tooLate)) === true) {
        await attention.wait(link.up() ? nextSweepMs : sweepMs, tooLate)
        waited = true
      }
      return waited
    }
    if (await takeAllWithRows()) {
      looks.clear()
      await takeAllWithRows()
    }
    return (await handOver.isAlone()) === false || !tooLate.aborted
  }

  const carryLanes = async (): Promise<Served> => {
    if (settings.adopt) await tryUntilDone(owner.neighbours.join, settings, ending)
    while (!ending.aborted) {
      let mayBeMore = false
      if (link.up()) {
        linkedAtMs = performance.now()
        mayBeMore = (await tryUntilDone(takeLanes, settings, ending)) ?? false
      } else if (performance.now() - linkedAtMs > settings.brokerDeadlineMs) {
        await tryUntilDone(crew.releaseAll, settings, ending)
      }
      if (settings.adopt && performance.now() > tendAtMs) {
        await tryUntilDone(() => tendRegister(session), settings, ending)
        tendAtMs = performance.now() + spreadMs(tendMs)
      }
      await attention.wait(spreadMs(mayBeMore ? nextSweepMs : sweepMs), ending)
    }
    const ownsHome = owner.lanes().some(({ lane }) => lane === owner.home.lane)
    const tookHome = ownsHome || (await takeHomeAtLast())
    const wasInTime = (await takeOrphansAtLast()) && tookHome
    const ended = crew.ended()
    await Promise.race([ended, loss.promise])
    const isLost = session.lost.aborted && !over.aborted
    if (isLost) {
      // What is in flight is awaited for a moment, but the heir may be waiting for what this connection holds.
      await within(lastConfirmsMs, ended)
      await link.drop('the session at Postgres was lost')
    }
    return { emptied: (await ended) && wasInTime, isLost }
  }

  /** After a fault: all lanes end with their session. */
  const giveUp = async (): Promise<void> => {
    await owner.close()
    // Nobody has waited for that yet. Its own failures are none of whoever hears of the fault.
    await within(lastStatementsMs, Promise.allSettled([crew.ended()]))
  }

  const unwatch = link.watch(attention.ring)
  const unwatchEnd = onAbort(over, () => void hurry())
  try {
    const [served] = await endTogether([carryLanes(), lookout.keep(ending)], giveUp)
    return served
  } finally {
    unwatch()
    unwatchEnd()
  }
}
