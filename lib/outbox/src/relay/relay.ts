import { OutboxError } from '../errors.ts'
import { type ByHand, openByHand, type Turn } from './by-hand.ts'
import { callOut } from './call-out.ts'
import { endTogether } from './end-together.ts'
import { createPayloadMemory } from './lane/payload-memory.ts'
import { expectMs, expectOptions, expectSignal, expectType } from '../option-checks.ts'
import type { Observe } from './observation.ts'
import { checkOptions, type RelayOptions } from './options.ts'
import type { Owner } from './own/owner.ts'
import { createBrokerLink } from './publish/broker-link.ts'
import { keepLinked } from './publish/keep-linked.ts'
import type { LaneBacklog } from './read/measure-backlog.ts'
import { createRestedBacklog } from './read/rested-backlog.ts'
import { createSessions } from './sessions.ts'
import { within } from './within.ts'

/** How a relay stands: with Postgres, with RabbitMQ, and how many lanes are its own. */
export type RelayState = { database: 'up' | 'down'; broker: 'up' | 'down' | 'blocked'; lanes: number }

/** Carries the rows of lanes to RabbitMQ for as long as it runs. */
export type Relay = {
  /**
   * Starts the work and resolves when the relay has its sessions at Postgres. RabbitMQ need not be there. Waits for
   * Postgres as long as it takes; `signal` stops the relay without a grace and rejects with its reason.
   *
   * A relay that fails later of a fault of its own, with no `stop` to tell it, carries nothing any more: that is an unhandled
   * rejection, by which Node ends the process. `state` then says that its database is down.
   *
   * @throws OutboxError `pooler_in_between`, `sequence_unordered`, `relay_misused` (also after `runOnce`), `option_invalid`,
   * and `relay_stopped` if `stop` is called meanwhile; and what a fault of the relay itself threw.
   */
  start: (options?: { signal?: AbortSignal | undefined }) => Promise<void>
  /**
   * Publishes what the lanes hold until they are empty or `graceMs` are over, then frees them and closes everything. It
   * waits for RabbitMQ so long, and for a Postgres that it had and lost. Of other lanes than its own, only until there is
   * another relay that adopts them, and so long those that are no pod's own as well, though it does not own them yet. What
   * is left waits in the table for the next owner. A second call changes nothing.
   *
   * @throws OutboxError `option_invalid` for a grace that is no number of milliseconds; and what a fault of the relay itself
   * threw in the stop, when all is closed.
   */
  stop: (options: { graceMs: number }) => Promise<void>
  state: () => RelayState
  /**
   * Calls back with whatever happens from now on, beside the option of this name; returns what ends that. What it throws is
   * an uncaught exception of the process, and no trouble of the relay.
   *
   * @throws OutboxError `option_invalid`.
   */
  observe: (observer: Observe) => () => void
  /**
   * What waits in the relay's lanes, by one statement. Empty while Postgres is away. A measure that took long is given again
   * for twenty times as long, at most for five minutes.
   *
   * @throws What Postgres says.
   */
  backlog: () => Promise<LaneBacklog[]>
  /**
   * One pass through each lane without the loop, for tests and scripts: the relay's own, and with `adopt` those of ordering
   * keys and those that nobody owns. Opens what it needs; `stop` closes it. Calls at the same time take turns.
   *
   * @throws OutboxError `relay_misused` while the loop runs, and what a pass throws.
   */
  runOnce: () => Promise<Turn>
}

/** @throws OutboxError `option_invalid`. */
export const createRelay = (options: RelayOptions): Relay => {
  const checked = checkOptions(options)
  const observers = new Set([checked.observe])
  const observe: Observe = (observation) => {
    for (const observer of observers) callOut(() => observer(observation))
  }
  const settings = { ...checked, observe }
  const link = createBrokerLink({ ...settings, name: settings.lane })
  const memory = createPayloadMemory()
  const measured = createRestedBacklog()
  const draining = new AbortController()
  const over = new AbortController()
  const ready = Promise.withResolvers<void>()
  const sessions = createSessions({ settings, link, memory, draining: draining.signal, over, ready })
  let working: Promise<boolean> | null = null
  let stopped: Promise<void> | null = null
  let byHand: ByHand | null = null
  /** Ends with the last turn that was asked for. */
  let lastTurn: Promise<unknown> | null = null

  /** The loop's, or that of the single turns. */
  const currentOwner = (): Owner | null => sessions.current() ?? byHand?.owner ?? null

  const endAll = () => {
    draining.abort()
    over.abort()
  }

  /** Says whether the lanes were emptied. A fault in any part of it is the end of all. */
  const work = async (): Promise<boolean> => {
    try {
      const [, emptied] = await endTogether([keepLinked(link, settings, over.signal), sessions.serve()], endAll)
      return emptied
    } catch (error) {
      // For a start that still waits. After it only a stop takes it, and without one it is the process that hears of it.
      ready.reject(error)
      throw error
    }
  }

  /** `reason` is what a start that still waits is told. */
  const stop = async (graceMs: number, reason: unknown): Promise<void> => {
    const startedMs = performance.now()
    draining.abort()
    let emptied = false
    const drain = async () => {
      emptied = working === null ? false : await working
    }
    const drained = drain()
    const waitAndClose = async () => {
      try {
        await within(graceMs, Promise.all([drained, lastTurn]))
      } finally {
        over.abort()
        byHand?.abandon()
        // What is in flight ends with the link.
        await Promise.all([link.close(), byHand?.owner.close(), drained, lastTurn])
      }
    }
    try {
      await waitAndClose()
    } finally {
      observe({ kind: 'relay.stopped', emptied, ms: Math.round(performance.now() - startedMs) })
      // Without a start nobody hears of it.
      if (working !== null) ready.reject(reason)
    }
  }

  const takeTurn = async (): Promise<Turn> => {
    if (stopped !== null) throw misused('the relay was stopped')
    if (byHand === null || byHand.owner.session.lost.aborted) {
      byHand?.abandon()
      byHand = await openByHand({ settings, link, memory, over: over.signal })
    }
    return byHand.takeTurn()
  }

  return {
    start: async (asked = {}) => {
      expectOptions('start', ['signal'], asked)
      const { signal } = asked
      expectSignal('signal', signal)
      if (working !== null) throw misused('a relay is started once')
      if (stopped !== null) throw misused('the relay was stopped')
      // Its own turns own the lane.
      if (lastTurn !== null) throw misused('a relay that took single turns is not started')
      signal?.throwIfAborted()
      working = work()
      const giveUp = () => {
        stopped ??= stop(0, signal?.reason)
      }
      signal?.addEventListener('abort', giveUp, { once: true })
      try {
        await ready.promise
      } catch (error) {
        await (stopped ??= stop(0, error))
        throw error
      } finally {
        signal?.removeEventListener('abort', giveUp)
      }
    },
    stop: async (asked) => {
      expectOptions('stop', ['graceMs'], asked)
      const { graceMs } = asked
      expectMs('graceMs', graceMs)
      await (stopped ??= stop(graceMs, new OutboxError('relay_stopped', 'the relay was stopped')))
    },
    state: () => {
      const living = livingOf(currentOwner())
      return {
        database: living === null ? 'down' : 'up',
        broker: link.blocked() ? 'blocked' : link.up() ? 'up' : 'down',
        lanes: living?.lanes().length ?? 0,
      }
    },
    observe: (observer) => {
      expectType('observer', observer, 'function')
      // One function may be given twice, and each time be taken away by itself.
      const one: Observe = (observation) => observer(observation)
      observers.add(one)
      return () => void observers.delete(one)
    },
    backlog: async () => {
      const living = livingOf(currentOwner())
      return living === null ? [] : measured(living.session, living.lanes())
    },
    runOnce: async () => {
      if (working !== null) throw misused('the loop takes the turns of a relay that was started')
      const turn = (lastTurn ?? Promise.resolve()).then(takeTurn)
      lastTurn = Promise.allSettled([turn])
      return turn
    },
  }
}

const livingOf = (owner: Owner | null): Owner | null => (owner?.session.lost.aborted === false ? owner : null)

const misused = (message: string): OutboxError => new OutboxError('relay_misused', message)
