import { createRelay, OutboxError } from '@esteira/outbox/relay'
import { createLog, runMain, serveHealth, tracesAsked } from '@esteira/service'
import { loadSidecarConfig } from './config.ts'
import { logObservation } from './log-observation.ts'
import { inTime } from './in-time.ts'
import { createRelayMetrics } from './relay-metrics.ts'

/** How long `/metrics` waits for Postgres, milliseconds: well within what Prometheus waits for its answer. */
const backlogMs = 3_000

/** When what only the start needed is collected, where Node's `--expose-gc` is given: milliseconds after it. */
const collectMs = 5_000

/** Loaded only where it is used: a relay that does not trace carries nothing for it. */
const spans = tracesAsked(process.env) ? await import('./send-spans.ts') : null

process.exitCode = await runMain(() => {
  const { graceMs, logLevel, healthHost, healthPort, adopt, retryMs, retryCapMs, ...config } = loadSidecarConfig(
    process.env,
  )
  const log = createLog('relay', logLevel)
  const metrics = createRelayMetrics()
  const relay = createRelay({
    ...config,
    adopt: adopt === 'yes',
    // A first pause above the cap is as long as the cap.
    refusedBackoff: { firstMs: Math.min(retryMs, retryCapMs), capMs: retryCapMs },
    ...(spans === null ? {} : { onSend: spans.beginSend }),
    observe: (observation) => {
      metrics.count(observation)
      logObservation(log, observation)
    },
  })
  const stop = () => relay.stop({ graceMs })
  const backlog = inTime(relay.backlog, backlogMs, [])
  const health = {
    // Not whether RabbitMQ is there: a pod must be able to write while it is away.
    isReady: () => relay.state().database === 'up',
    metrics: async () => metrics.text(relay.state(), await backlog()),
  }
  return {
    log,
    traces: { service: 'esteira-relay', env: process.env },
    start: async (signal) => {
      if (healthPort !== null) await serveHealth(health, healthHost, healthPort)
      signal.throwIfAborted()
      // Not by the start's own signal, which leaves no grace: it may carry lanes long before it hears their bells.
      // What fails in it is thrown again to who waits for the same stop: the start, or the process.
      signal.addEventListener('abort', () => void Promise.allSettled([stop()]), { once: true })
      try {
        await relay.start()
      } catch (error) {
        // It was asked to stop meanwhile, and has.
        if (error instanceof OutboxError && error.code === 'relay_stopped') signal.throwIfAborted()
        throw error
      }
      log.info({ event: 'ready', lane: config.lane })
      // An idle relay allocates so little that it would keep all of that for hours.
      setTimeout(() => globalThis.gc?.({ type: 'major', flavor: 'last-resort', execution: 'sync' }), collectMs).unref()
      return { stop }
    },
  }
})
