import { OutboxError } from '../errors.ts'
import { backoffMs, reconnectBackoff } from './backoff.ts'
import { createLoop } from './loop.ts'
import { checkOptions, type RelayOptions } from './options.ts'
import { createOwner, type OwnedLane } from './own/owner.ts'
import { createBrokerLink } from './publish/broker-link.ts'
import { takeTurn, type Turn } from './turn.ts'
import { createBell } from './wake/bell.ts'
import { type Listener, startListener } from './wake/listener.ts'
import { within } from './within.ts'

/** Carries the rows of one lane to RabbitMQ for as long as it runs. */
export type Relay = {
  /**
   * Starts the loop and resolves when the relay owns its lane, or waits for it, and hears its doorbell. RabbitMQ need
   * not be there. Waits for Postgres as long as it takes; `signal` stops the relay and rejects with its reason.
   */
  start: (options?: { signal?: AbortSignal }) => Promise<void>
  /**
   * Publishes what the lane holds until it is empty or `graceMs` are over, then frees the lane and closes everything.
   * What is left waits in the table for the next owner. A second call changes nothing.
   */
  stop: (options: { graceMs: number }) => Promise<void>
  /**
   * One turn without the loop, for tests and scripts. Opens what it needs; `stop` closes it.
   *
   * @throws OutboxError `relay_misused` while the loop runs, and what a turn throws.
   */
  runOnce: () => Promise<Turn>
}

/** @throws OutboxError `option_invalid`. */
export const createRelay = (options: RelayOptions): Relay => {
  const settings = checkOptions(options)
  const { databaseUrl, rabbitmqUrl, lane: laneName, window, confirmDeadlineMs, observe } = settings
  const bell = createBell()
  // A link that fell is opened again by the next turn, which comes at a moment of chance: its server's other clients
  // lost theirs at the same time.
  const onLost = () => {
    setTimeout(bell.ring, backoffMs(1, reconnectBackoff)).unref()
  }
  const owner = createOwner({ databaseUrl, lane: laneName, observe, onLost })
  const link = createBrokerLink({ rabbitmqUrl, lane: laneName, observe, onLost, onUnblocked: bell.ring })
  const stopping = new AbortController()
  const ready = Promise.withResolvers<void>()
  let listener: Listener | null = null
  let working: Promise<void> | null = null
  let stopped: Promise<void> | null = null

  const turn = async (owned: OwnedLane | null): Promise<Turn> =>
    owned === null ? { kind: 'waiting' } : takeTurn(owned, { link, window, confirmDeadlineMs, observe })

  /** Hears the lane's doorbell. A lane has another number when its database was made anew. */
  const hear = (lane: number | null) => {
    if (lane === null || listener?.lane === lane || stopped !== null) return
    void listener?.close()
    listener = startListener({ databaseUrl, lane, laneName, onRing: bell.ring, observe })
    void listener.listening.then(ready.resolve)
  }

  const loop = createLoop({
    settings,
    bell,
    openLink: link.channel,
    turn: async () => {
      const owned = await owner.own()
      hear(owner.lane())
      return turn(owned)
    },
  })

  const stop = async (graceMs: number): Promise<void> => {
    const startedMs = performance.now()
    const deadline = AbortSignal.timeout(graceMs)
    let emptied = false
    stopping.abort()
    const drain = async () => {
      if (working === null) return
      await working
      emptied = await loop.drain(deadline)
    }
    await within(graceMs, drain())
    await Promise.all([listener?.close(), link.close(), owner.close()])
    observe({ kind: 'relay.stopped', emptied, ms: Math.round(performance.now() - startedMs) })
  }

  return {
    start: async ({ signal } = {}) => {
      if (working !== null || stopped !== null) throw misused('a relay is started once')
      signal?.throwIfAborted()
      working = loop.work(stopping.signal)
      const giveUp = () => {
        stopped ??= stop(0)
        void stopped.then(() => ready.reject(signal?.reason))
      }
      signal?.addEventListener('abort', giveUp, { once: true })
      await ready.promise
      signal?.removeEventListener('abort', giveUp)
    },
    stop: ({ graceMs }) => (stopped ??= stop(graceMs)),
    runOnce: async () => {
      if (working !== null) throw misused('the loop takes the turns of a relay that was started')
      return turn(await owner.own())
    },
  }
}

const misused = (message: string): OutboxError => new OutboxError('relay_misused', message)
