/** Who hears of the abort of a signal. */
const hearersOf = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * Calls back when a signal is aborted that outlives its hearers, at once if it is already; what is returned ends that.
 * For signals that very many hear: such a signal looks through all of its listeners to add one or to take one away,
 * which are 7 us with the deliveries that a worker may have in hand.
 */
export const hearAbort = (signal: AbortSignal, hear: () => void): (() => void) => {
  if (signal.aborted) hear()
  const hearers = hearersOf.get(signal) ?? listen(signal)
  hearers.add(hear)
  return () => void hearers.delete(hear)
}

const listen = (signal: AbortSignal): Set<() => void> => {
  const hearers = new Set<() => void>()
  signal.addEventListener('abort', () => {
    for (const hear of hearers) hear()
  })
  hearersOf.set(signal, hearers)
  return hearers
}
