import { isPromise } from 'node:util/types'
import { nameOfKind } from '../../values/name-of-kind.ts'
import { optionFault } from '../../option-checks.ts'
import type { LaneRow } from '../read/lane-row.ts'
import type { PublishOutcome } from './outcome.ts'

/** A message on its way to the broker, with a copy of its headers. */
export type SentMessage = Pick<LaneRow, 'messageId' | 'exchange' | 'routingKey' | 'headers'>

/**
 * Hears of each message, each time just before it is written to the connection; what it returns hears once how that ended.
 * What either throws is an uncaught exception of the process, and so is an answer that is neither a function nor undefined.
 */
export type OnSend = (message: SentMessage) => OnEnd | undefined

type OnEnd = (outcome: PublishOutcome) => void

/** @throws What it throws, and OutboxError `option_invalid` where it returns anything else. */
export const tellSend = (onSend: OnSend, row: LaneRow): OnEnd | undefined => {
  const { messageId, exchange, routingKey } = row
  const onEnd = onSend({ messageId, exchange, routingKey, headers: copyOf(row.headers) })
  // From JavaScript anything may come.
  const given: unknown = onEnd
  if (given === undefined || typeof given === 'function') return onEnd
  const kind = isPromise(given) ? 'a promise' : nameOfKind(given)
  throw optionFault('onSend', `expected it to return a function or undefined, got ${kind}`)
}

/** What is changed in it is not published. Only SQL of one's own writes headers that hold more than one value. */
const copyOf = (headers: LaneRow['headers']): LaneRow['headers'] =>
  Object.values(headers).some((value) => typeof value === 'object') ? structuredClone(headers) : { ...headers }
