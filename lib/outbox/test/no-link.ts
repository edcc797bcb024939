import type { BrokerLink } from '../src/relay/publish/broker-link.ts'
import { createTurns } from '../src/relay/publish/turns.ts'

/** A link without a broker, for what asks none. */
export const noLink: BrokerLink = {
  connect: () => Promise.reject(new Error('there is no broker')),
  connection: () => {
    throw new Error('there is no broker')
  },
  up: () => false,
  blocked: () => false,
  faultOf: () => null,
  turns: createTurns(),
  watch: () => () => {},
  drop: async () => {},
  close: async () => {},
}
