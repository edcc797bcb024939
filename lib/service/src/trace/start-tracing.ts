import { setTimeout as pause } from 'node:timers/promises'
import { reasonOf } from '../availability.ts'
import type { Log } from '../log.ts'
import { tracesAsked } from './traces-asked.ts'

/** Whose spans these are, and the environment that says whether and where they go. */
export type TraceSettings = { service: string; env: NodeJS.ProcessEnv }

/** Traces that are under way. `stop` sends what is left, as far as the receiver takes it soon. */
export type Tracing = { stop: () => Promise<void> }

/** How long the last spans may take, milliseconds. A receiver that is away must not keep a process that has ended. */
const lastSpansMs = 2_000

/**
 * Starts OpenTelemetry if the environment asks for traces. Otherwise nothing of its SDK is loaded: a process pays for what
 * it uses. Traces never keep a program from its work: what is wrong with them is a line in the log.
 */
export const startTracing = async ({ service, env }: TraceSettings, log: Log): Promise<Tracing | null> => {
  if (!tracesAsked(env)) return null
  const severed = new AbortController()
  try {
    const { startSdk } = await import('./sdk.ts')
    const shutDown = await startSdk(service, env, log, severed.signal)
    return { stop: () => soon(shutDown()).finally(() => severed.abort()) }
  } catch (error) {
    log.warn({ event: 'traces.unavailable', reason: reasonOf(error) })
    return null
  }
}

const soon = async (work: Promise<void>): Promise<void> => {
  const over = new AbortController()
  await Promise.race([work, pause(lastSpansMs, undefined, { signal: over.signal })]).finally(() => over.abort())
}
