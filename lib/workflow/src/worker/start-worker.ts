import { setTimeout as pause } from 'node:timers/promises'
import { queryable, registerLane } from '@esteira/outbox'
import { untilAvailable } from '@esteira/service'
import { expectMigrated } from '../database/expect-migrated.ts'
import { expectSettings } from '../database/expect-settings.ts'
import { publishFunctions } from '../function/publish-functions.ts'
import { answerProbe } from './deliver/answer-probe.ts'
import { openBelt } from './belt/belt.ts'
import type { Delivery, ProbeDelivery } from './belt/delivery.ts'
import { carry } from './deliver/carry.ts'
import { deliver } from './deliver/deliver.ts'
import { deliverMeans } from './deliver/deliver-means.ts'
import { defaultPublishMs, keepPublished } from './keep-published.ts'
import { mostOwnInHand, openPools } from './pools.ts'
import type { WorkerOptions } from './worker-options.ts'

/** `stuck` resolves when only the end of the process can help: functions that run on after their time have all places. */
export type Worker = { stop: () => Promise<void>; stuck: Promise<void> }

/** How long sessions of Postgres may take to end; a server that is silent must not keep the process alive. */
const goodbyeMs = 1_000

/** Publishes what the functions are, now and again, and consumes their queues until it is stopped. */
export const startWorker = async (options: WorkerOptions): Promise<Worker> => {
  const { databaseUrl, rabbitmqUrl, log, signal, observe, publishMs = defaultPublishMs } = options
  const severed = new AbortController()
  const pools = openPools(options, severed.signal)
  const stopping = new AbortController()
  const giveUp = () => severed.abort()
  signal.addEventListener('abort', giveUp)
  const publish = () => publishFunctions(pools.orm.em.fork(), options.functions)
  try {
    const lane = await untilAvailable({ what: 'Postgres', url: databaseUrl, log, signal }, async () => {
      await expectMigrated(pools.orm.em.fork())
      await expectSettings(pools.orm.em.fork())
      await publish()
      return registerLane(queryable(pools.orm.em.fork()), options.lane)
    })
    const { means, settled, stopWaiting } = deliverMeans(pools, lane, options, stopping.signal)
    const functions = new Map(options.functions.map((fn) => [fn.name, fn]))
    const belt = await untilAvailable({ what: 'RabbitMQ', url: rabbitmqUrl, log, signal }, async () => {
      const onDelivery = (queue: string, delivery: Delivery) => {
        const fn = functions.get(queue)
        if (fn === undefined) return
        void carry(delivery, {
          functionName: fn.name,
          observe,
          deliver: (onKept) => deliver(fn, delivery, means, onKept),
        })
      }
      const onProbe = (queue: string, probe: ProbeDelivery) => void answerProbe(queue, probe, means, options.observe)
      const prefetchOf = (queue: string): number =>
        functions.get(queue)?.unit === 'own' ? Math.min(options.prefetch, mostOwnInHand) : options.prefetch
      const queues = [...functions.keys()]
      const opened = await openBelt({ ...options, queues, prefetchOf, onDelivery, onProbe }, signal)
      // Nobody gets a belt that comes after the start was given up, so nobody else would close it.
      if (signal.aborted) await opened.stop()
      return opened
    })
    const publishing = keepPublished({ publish, observe, everyMs: publishMs })
    const stop = async () => {
      publishing.stop()
      means.abandoned.stop()
      // A lock may be held for longer than the grace period: what waits for one gets a new message, for the next worker.
      stopWaiting()
      await belt.stop()
      await Promise.race([settled(), pause(goodbyeMs, undefined, { ref: false })])
      // What is still under way now has outlived the grace period; its messages went back with the channel.
      stopping.abort(new Error('the worker has stopped'))
      means.suspects?.stop()
      setTimeout(giveUp, goodbyeMs).unref()
      await pools.close()
    }
    return { stop, stuck: means.abandoned.stuck }
  } catch (error) {
    await pools.close()
    throw error
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
