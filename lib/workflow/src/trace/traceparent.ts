import { randomBytes } from 'node:crypto'

/**
 * A new root in the form of the W3C `traceparent` header: every job is a trace of its own, begun where its row is
 * written. The flags say "sampled"; an exporter decides on its own.
 */
export const newTraceparent = (): string => `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`
