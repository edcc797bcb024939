import type { Happening, KeptUp } from '../processes/keep-up.ts'
import { StackError } from './errors.ts'
import type { Observe, ServiceName } from './service.ts'

/** Reports what happens to a process as what happens to its service; `ready` is called whenever it is up. */
export const partEvents =
  (observe: Observe, { service, part, ready }: { service: ServiceName; part: string; ready?: (ms: number) => void }) =>
  (happening: Happening | { kind: 'started' }): void => {
    if (happening.kind === 'ready') ready?.(happening.ms)
    if (happening.kind !== 'exited') return
    const { exit, lastLines, restartInMs } = happening
    observe({ kind: 'service.exited', service, part, exit, lastLines, restartInMs })
  }

/**
 * Waits for a part of a service to be ready for the first time. When the signal is aborted before, it is stopped.
 *
 * @throws StackError `service_failed` with the end of its log, or the signal's reason.
 */
export const firstReady = async (kept: KeptUp<unknown>, signal: AbortSignal): Promise<void> => {
  const stop = () => void kept.stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    if (signal.aborted) await kept.stop()
    await kept.ready
  } catch (cause) {
    signal.throwIfAborted()
    throw new StackError('service_failed', cause instanceof Error ? cause.message : String(cause), { cause })
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
