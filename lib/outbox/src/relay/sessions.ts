import { OutboxError, type OutboxErrorCode } from '../errors.ts'
import { backoffMs, reconnectBackoff } from './backoff.ts'
import { endTogether } from './end-together.ts'
import type { PayloadMemory } from './lane/payload-memory.ts'
import { onAbort } from './on-abort.ts'
import type { RelaySettings } from './options.ts'
import type { Backend } from './own/backend.ts'
import { openOwner, type Owner } from './own/owner.ts'
import { pause } from './pause.ts'
import type { BrokerLink } from './publish/broker-link.ts'
import { serve, type Served } from './serve.ts'
import { tryUntilDone } from './try-until-done.ts'
import { createListener } from './wake/listener.ts'

/** The sessions of a relay at Postgres, one after the other. */
export type Sessions = {
  /** What the last one owns or owned; null before the first. */
  current: () => Owner | null
  /**
   * Carries lanes until they are left, then closes everything, the link to RabbitMQ too. Says whether they were emptied.
   *
   * @throws What a fault of ours threw in any of them, when all is closed.
   */
  serve: () => Promise<boolean>
}

export type SessionsMeans = {
  settings: RelaySettings
  link: BrokerLink
  memory: PayloadMemory
  /** Aborted when lanes are to be emptied and left. */
  draining: AbortSignal
  /** Aborted when there is no more time for it, and at the end. */
  over: AbortController
  /** What a start waits for: a session that carries lanes, and one that hears the bells; or that it is refused. */
  ready: Pick<PromiseWithResolvers<void>, 'resolve' | 'reject'>
}

/** For which a start is refused. */
const refusals: ReadonlySet<OutboxErrorCode> = new Set<OutboxErrorCode>(['pooler_in_between', 'sequence_unordered'])

/**
 * One that was lost sooner is part of the same trouble as the one before it, in which every relay that comes back at once
 * has all lanes looked at anew, milliseconds.
 */
const settledMs = 10_000

/** After so many lost sessions the next one begins with the question which of them are gone at Postgres. */
const formerSessions = 3

/** How one session went, and which of those before it were still there. */
type Lived = Served & { former: readonly Backend[] }

export const createSessions = (
  { settings, link, memory, draining, over, ready }: SessionsMeans,
  { wait = pause, now = () => performance.now() } = {},
): Sessions => {
  let current: Owner | null = null
  const listener = createListener(settings)
  /** Resolves with the first session, or when there is none to come. */
  const begun = Promise.withResolvers<void>()
  const stopping = AbortSignal.any([draining, over.signal])
  /**
   * Lanes that a session owned which was lost: they may have nobody yet. There is no limit to them, since each is a number,
   * and is asked about at the stop alone: once, and not where the register has it no more, or somebody owns it.
   */
  const had = new Set<number>()

  const carryAll = async (): Promise<boolean> => {
    let emptied = false
    let former: readonly Backend[] = []
    /** Sessions in a row that did not last. */
    let brief = 0
    try {
      for (;;) {
        const owner = await openNext(former)
        if (owner === null) break
        const openedAtMs = now()
        current = owner
        const [lived] = await endTogether([live(owner, former), renewAfterSilence(owner)], owner.close)
        emptied = lived.emptied
        if (!lived.isLost || (draining.aborted && emptied)) break
        former = [...lived.former, owner.backend]
        for (const { lane } of owner.lanes()) had.add(lane)
        brief = now() - openedAtMs >= settledMs ? 1 : brief + 1
        // The server's other clients lost their sessions at the same moment.
        await wait(backoffMs(brief, reconnectBackoff), draining.aborted ? over.signal : stopping)
      }
    } finally {
      over.abort()
      begun.resolve()
      await link.close()
    }
    return emptied
  }

  /** Where Postgres is not there for the one session, it need not be asked for another one. */
  const hearBells = async (): Promise<void> => {
    await begun.promise
    await listener.keep(over.signal)
  }

  const serveAll = async (): Promise<boolean> => {
    const [emptied] = await endTogether([carryAll(), hearBells()], () => over.abort())
    return emptied
  }

  /** A relay that had lanes and lost them may have left rows in them: it comes back for these also after its stop. */
  const openNext = async (former: readonly Backend[]): Promise<Owner | null> => {
    const owner = await tryUntilDone(openOrRefuse, settings, stopping)
    return owner ?? (former.length === 0 ? null : tryUntilDone(openOrRefuse, settings, over.signal))
  }

  /** Those are mistakes that waiting does not mend. A relay that was started waits all the same for who mends them. */
  const openOrRefuse = async (): Promise<Owner> => {
    try {
      return await openOwner(settings, over.signal)
    } catch (error) {
      if (error instanceof OutboxError && refusals.has(error.code)) ready.reject(error)
      throw error
    }
  }

  /** To the end of a session, which is closed whatever becomes of it: as long as it lasts nobody else has the lanes. */
  const live = async (owner: Owner, before: readonly Backend[]): Promise<Lived> => {
    try {
      const former = await forgetGone(owner, before)
      begun.resolve()
      void readyWith(owner)
      const means = { settings, owner, former, had, link, listener, memory, draining, over: over.signal }
      return { ...(await serve(means)), former }
    } finally {
      await owner.close()
    }
  }

  /** Where the way to Postgres breaks again and again, many of them may live on there, each for seconds. */
  const forgetGone = async (owner: Owner, former: readonly Backend[]): Promise<readonly Backend[]> => {
    if (former.length <= formerSessions) return former
    const tooLate = AbortSignal.any([owner.session.lost, over.signal])
    // A Postgres that says nothing must not hold up the end.
    const unwatch = onAbort(over.signal, () => void owner.close())
    try {
      return (await tryUntilDone(() => owner.stillThere(former), settings, tooLate)) ?? former
    } finally {
      unwatch()
    }
  }

  const readyWith = async (owner: Owner): Promise<void> => {
    await listener.listening
    // It may be the last word of a relay that is at its end.
    if (!owner.session.lost.aborted && !over.signal.aborted) ready.resolve()
  }

  /** The session of the bell came the same way, and would find out later. */
  const renewAfterSilence = async (owner: Owner): Promise<void> => {
    const silentSinceMs = await owner.silentSinceMs
    if (silentSinceMs !== null) listener.renew(silentSinceMs)
  }

  return { current: () => current, serve: serveAll }
}
