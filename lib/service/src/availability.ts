import pRetry, { AbortError } from 'p-retry'
import { withoutPassword } from './config/values.ts'
import type { Log } from './log.ts'

/**
 * Tries until a service answers, with a pause that doubles from 250 ms to 10 s and is spread at random, so that many
 * processes do not come back in step. Every failed try is one line with the address, never its password.
 *
 * @throws the signal's reason, once it is aborted; an error that would not pass by itself, if `mayPass` tells them apart.
 */
export const untilAvailable = <T>(
  service: { what: string; url: string; log: Log; signal: AbortSignal; mayPass?: (error: unknown) => boolean },
  attempt: () => Promise<T>,
): Promise<T> => {
  const { mayPass = () => true } = service
  const attemptOnce = () =>
    attempt().catch((error: unknown) => {
      throw mayPass(error) || !(error instanceof Error) ? error : new AbortError(error)
    })
  return pRetry(attemptOnce, {
    retries: Number.POSITIVE_INFINITY,
    minTimeout: 250,
    maxTimeout: 10_000,
    randomize: true,
    signal: service.signal,
    onFailedAttempt: ({ error, attemptNumber }) => {
      service.log.warn({
        event: 'service.unavailable',
        service: service.what,
        address: withoutPassword(service.url),
        attempt: attemptNumber,
        reason: reasonOf(error),
      })
    },
  })
}

/**
 * Why something failed, in one line. Node gathers the refusals of several addresses in an error without a message. What
 * code of others throws may have no text, or may throw when it is read.
 */
export const reasonOf = (error: unknown): string => {
  try {
    if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ')
    return String(error instanceof Error ? error.message : error)
  } catch {
    return 'what was thrown cannot be read'
  }
}
