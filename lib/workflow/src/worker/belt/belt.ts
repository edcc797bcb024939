import { setTimeout as pause } from 'node:timers/promises'
import { reasonOf, withoutPassword } from '@esteira/service'
import { reopenPauseMs } from './backoff.ts'
import type { Delivery, ProbeDelivery } from './delivery.ts'
import { type Line, openLine } from './line.ts'

/** What happens on the belt, for logs and metrics. */
export type BeltEvent =
  | { kind: 'belt.lost'; address: string; reason: string }
  | { kind: 'belt.back'; address: string }
  | { kind: 'belt.fault'; queue: string; reason: string }
  | { kind: 'belt.unreadable'; queue: string; reason: string }

export type Belt = {
  /** Takes no new deliveries, waits until those in hand are acked or the grace period is over, and closes. */
  stop: () => Promise<void>
}

type BeltOptions = {
  rabbitmqUrl: string
  /** Who consumes, for people. */
  worker: string
  /** Names of functions, which are the names of their queues. */
  queues: readonly string[]
  /** How many deliveries of a queue are in hand at a time. */
  prefetchOf: (queue: string) => number
  graceMs: number
  onDelivery: (queue: string, delivery: Delivery) => void
  onProbe: (queue: string, probe: ProbeDelivery) => void
  observe: (event: BeltEvent) => void
}

/**
 * Consumes the queues of functions, and comes back by itself after a lost link. The signal gives the opening up.
 *
 * @throws WorkflowError `broker_unavailable` when it cannot be opened; no connection is left then.
 */
export const openBelt = async (options: BeltOptions, signal: AbortSignal): Promise<Belt> => {
  const { rabbitmqUrl, worker, graceMs, observe } = options
  const address = withoutPassword(rabbitmqUrl)
  const stopping = new AbortController()
  const lineOptions = {
    ...options,
    name: `worker ${worker}`,
    onUnreadable: (queue: string, reason: string) => observe({ kind: 'belt.unreadable', queue, reason }),
    onFault: (queue: string, reason: string) => observe({ kind: 'belt.fault', queue, reason }),
  }
  let line: Line | null = await openLine(lineOptions, signal)

  const openAgain = async (): Promise<Line | null> => {
    for (let attempt = 1; ; attempt += 1) {
      await pause(reopenPauseMs(attempt), undefined, { signal: stopping.signal }).catch(() => undefined)
      if (stopping.signal.aborted) return null
      try {
        return await openLine(lineOptions, stopping.signal)
      } catch (error) {
        if (stopping.signal.aborted) return null
        observe({ kind: 'belt.lost', address, reason: reasonOf(error) })
      }
    }
  }
  const keepOpen = async (): Promise<void> => {
    while (line !== null) {
      const reason = await line.ended
      if (stopping.signal.aborted) return
      observe({ kind: 'belt.lost', address, reason })
      line = null
      const next = await openAgain()
      if (stopping.signal.aborted) return next?.close()
      line = next
      observe({ kind: 'belt.back', address })
    }
  }
  const kept = keepOpen()

  return {
    stop: async () => {
      stopping.abort()
      const last = line
      if (last !== null) {
        const drained = last.drain().then(() => true)
        if (!(await Promise.race([drained, pause(graceMs, false, { ref: false })]))) {
          for (const { queue, deliveries } of last.inHand()) {
            const reason = `${deliveries} deliveries were not done within ${graceMs} ms, and go back to their queue`
            observe({ kind: 'belt.fault', queue, reason })
          }
        }
        await last.close()
      }
      await kept
    },
  }
}
