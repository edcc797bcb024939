import { randomBytes } from 'node:crypto'

/**
 * A new root in the form of the W3C `traceparent` header: every job is a trace of its own, begun where its row is
 * written. The flags say "sampled"; an exporter decides on its own.
 */
export const newTraceparent = (): string => {
  // One call: with two it costs twice as much, 8 us a job instead of 4.
  const ids = randomBytes(24).toString('hex')
  return `00-${ids.slice(0, 32)}-${ids.slice(32)}-01`
}
