import type { LaneRow } from '../read/lane-row.ts'
import type { PublishOutcome } from './outcome.ts'

/** A message on its way to the broker. */
export type SentMessage = Pick<LaneRow, 'messageId' | 'exchange' | 'routingKey' | 'headers'>

/**
 * Hears of each message, each time just before it is written to the connection; what it returns hears once how that ended.
 * What either throws is an uncaught exception of the process.
 */
export type OnSend = (message: SentMessage) => ((outcome: PublishOutcome) => void) | undefined
