import { OutboxError, reasonOf, withoutPassword } from '../errors.ts'
import { isInstance } from '../values/is-instance.ts'
import { backoffMs, reconnectBackoff } from './backoff.ts'
import type { RelaySettings } from './options.ts'
import { pause } from './pause.ts'

/**
 * Tries until it is done, later and later, and says each time why not; null when the signal is aborted first. The
 * pauses are left to chance in part: a server's other clients lost theirs at the same moment.
 */
export const tryUntilDone = async <T>(
  work: () => Promise<T>,
  settings: RelaySettings,
  signal: AbortSignal,
  wait = pause,
): Promise<T | null> => {
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      // Nothing is said after the end, and a lost session is told by whoever opened it.
      if (signal.aborted) return null
      const retryInMs = backoffMs(attempt, isFenced(error) ? fenceBackoff : reconnectBackoff)
      reportFailure(error, { attempt, retryInMs }, settings)
      await wait(retryInMs, signal)
    }
  }
  return null
}

/** RabbitMQ says to nobody that it closed the former owner's connection, so it is asked often. */
const fenceBackoff = { firstMs: 100, capMs: 500 }

const isFenced = (error: unknown): boolean => isInstance(error, OutboxError) && error.code === 'fence_held'

/** Tells what failed, and when it is tried again. */
export const reportFailure = (
  error: unknown,
  again: { attempt: number; retryInMs: number },
  { observe, databaseUrl, rabbitmqUrl }: RelaySettings,
): void => {
  const reason = reasonOf(error)
  switch (isInstance(error, OutboxError) ? error.code : null) {
    case 'database_unavailable':
    case 'session_lost':
    case 'pooler_in_between':
      return observe({ kind: 'database.unavailable', address: withoutPassword(databaseUrl), reason, ...again })
    case 'broker_unavailable':
    case 'broker_lost':
      return observe({ kind: 'broker.unavailable', address: withoutPassword(rabbitmqUrl), reason, ...again })
    case 'fence_held':
      // The lane's channel told it, once.
      return
    default:
      return observe({ kind: 'relay.failed', reason, error, ...again })
  }
}
