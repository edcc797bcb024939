import { expect, test } from 'vitest'
import { noLink } from '../../../test/no-link.ts'
import { OutboxError } from '../../errors.ts'
import { refusedBackoff } from '../backoff.ts'
import { checkOptions } from '../options.ts'
import type { ControlSession } from '../own/control-session.ts'
import type { Owner } from '../own/owner.ts'
import type { BrokerLink } from '../publish/broker-link.ts'
import { createCrew } from './crew.ts'
import { createIdWatch } from '../read/id-watch.ts'
import { createOwnedLane } from './owned-lane.ts'
import { createPayloadMemory } from './payload-memory.ts'

const never = new AbortController().signal

const session: ControlSession = {
  query: () => Promise.reject(new Error('a crew without a broker asks nothing')),
  lost: never,
  fresh: () => true,
  giveUp: () => {},
  beat: async () => {},
  close: async () => {},
}

const own = (lane: number, kind: 'pod' | 'key' = 'pod') =>
  createOwnedLane({ lane, name: `lane ${lane}`, kind, fence: '' }, session, createIdWatch(null, null), refusedBackoff)

/** A crew with lane 1 as its own, and what it is told to do otherwise. */
const crewWith = (given: { owner: Partial<Owner>; link?: BrokerLink; draining?: AbortSignal; adopt?: boolean }) =>
  createCrew({
    settings: checkOptions({
      databaseUrl: 'postgres://localhost',
      rabbitmqUrl: 'amqp://localhost',
      lane: 'lane 1',
      adopt: given.adopt ?? false,
    }),
    owner: {
      session,
      backend: { pid: 1, startedAt: '' },
      neighbours: {
        join: async () => {},
        leave: async () => false,
        areThere: async () => false,
        keepLanes: async () => {},
      },
      stillThere: async () => [],
      home: own(1),
      ownHome: async () => null,
      adopt: async () => [],
      adoptOfAll: async () => [],
      lastOrphans: async () => [],
      takeAll: async () => [],
      database: 'test',
      lanes: () => [],
      close: async () => {},
      release: async () => {},
      ...given.owner,
    },
    link: given.link ?? noLink,
    listener: { listening: Promise.resolve(), add: () => {}, remove: () => {}, close: async () => {} },
    lookout: { add: () => {}, remove: () => {}, keep: async () => {} },
    memory: createPayloadMemory(),
    formerGone: async () => {},
    draining: given.draining ?? never,
    over: never,
  })

test('lanes that could not be given up the first time are given up the next time', async () => {
  const owned = new Map([own(1), own(2), own(3)].map((lane) => [lane.lane, lane]))
  let answers = true
  const crew = crewWith({
    owner: {
      lanes: () => [...owned.values()],
      release: async ({ lane }) => {
        if (lane === 2 && answers) {
          answers = false
          throw new Error('not now')
        }
        owned.delete(lane)
      },
    },
  })
  for (const lane of owned.values()) crew.start(lane)
  await expect(crew.releaseAll()).rejects.toThrow('not now')
  expect([...owned.keys()]).toEqual([2, 3])
  await crew.releaseAll()
  expect([...owned.keys()]).toEqual([])
})

/** A link that is up when it is asked, and gone when its connection is: what became of a fence on it, nobody knows. */
const fallingLink: BrokerLink = {
  ...noLink,
  up: () => true,
  connection: () => {
    throw new OutboxError('broker_unavailable', 'the connection has just fallen')
  },
}

test.each([
  { of: 'whose fence is free', link: noLink, released: [2] },
  { of: 'whose fence may still be held', link: fallingLink, released: [] },
])('at a stop beside a neighbour a lane $of is released: $released', async ({ link, released }) => {
  const freed: number[] = []
  const crew = crewWith({
    owner: {
      neighbours: {
        join: async () => {},
        leave: async () => true,
        areThere: async () => true,
        keepLanes: async () => {},
      },
      release: async ({ lane }) => {
        freed.push(lane)
      },
    },
    link,
    draining: AbortSignal.abort(),
    adopt: true,
  })
  crew.start(own(2, 'key'))
  await crew.ended()
  expect(freed).toEqual(released)
})
