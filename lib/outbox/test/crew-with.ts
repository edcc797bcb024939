import { createCrew } from '../src/relay/lane/crew.ts'
import type { HandOver } from '../src/relay/lane/hand-over.ts'
import { createPayloadMemory } from '../src/relay/lane/payload-memory.ts'
import { checkOptions } from '../src/relay/options.ts'
import type { Owner } from '../src/relay/own/owner.ts'
import type { BrokerLink } from '../src/relay/publish/broker-link.ts'
import { noLink } from './no-link.ts'
import { noOwner } from './no-owner.ts'

const never = new AbortController().signal

/** As long as no neighbour comes. */
export const alone: HandOver = { isAlone: async () => true, begun: never, end: async () => {} }

export const besideNeighbour: HandOver = { isAlone: async () => false, begun: AbortSignal.abort(), end: async () => {} }

/** A crew with lane 1 as its own, and what it is told to do otherwise. */
export const crewWith = (given: {
  owner: Partial<Owner>
  link?: BrokerLink
  draining?: AbortSignal
  over?: AbortSignal
  handOver?: HandOver
}) =>
  createCrew({
    settings: checkOptions({
      databaseUrl: 'postgres://localhost',
      rabbitmqUrl: 'amqp://localhost',
      lane: 'lane 1',
    }),
    owner: { ...noOwner, ...given.owner },
    link: given.link ?? noLink,
    listener: { listening: Promise.resolve(), add: () => {}, remove: () => {}, renew: () => {}, keep: async () => {} },
    lookout: { add: () => {}, remove: () => {}, keep: async () => {} },
    memory: createPayloadMemory(),
    handOver: given.handOver ?? alone,
    draining: given.draining ?? never,
    over: given.over ?? never,
  })
