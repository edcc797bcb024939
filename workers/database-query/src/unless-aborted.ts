/**
 * Waits for something until the signal is aborted; then it goes on for itself, as long as `mayLeave` says so.
 *
 * @throws the signal's reason.
 */
export const unlessAborted = async <T>(
  waiting: Promise<T>,
  signal: AbortSignal,
  mayLeave: () => boolean = () => true,
): Promise<T> => {
  const aborted = Promise.withResolvers<never>()
  const abort = () => {
    if (mayLeave()) aborted.reject(signal.reason)
  }
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    return await Promise.race([waiting, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
