import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { LaneKind } from '../../lane/find-or-add-lane.ts'
import { hearUncaught } from '../../../test/hear-uncaught.ts'
import { noLink } from '../../../test/no-link.ts'
import { OutboxError } from '../../errors.ts'
import { refusedBackoff } from '../backoff.ts'
import { checkOptions } from '../options.ts'
import type { ControlSession } from '../own/control-session.ts'
import type { Owner } from '../own/owner.ts'
import type { BrokerLink } from '../publish/broker-link.ts'
import { createCrew } from './crew.ts'
import type { HandOver } from './hand-over.ts'
import { createIdWatch } from '../read/id-watch.ts'
import { createWriterWatch } from '../read/writer-watch.ts'
import { createOwnedLane } from './owned-lane.ts'
import { createPayloadMemory } from './payload-memory.ts'

const never = new AbortController().signal

const session: ControlSession = {
  query: () => Promise.reject(new Error('a crew without a broker asks nothing')),
  lost: never,
  fresh: () => true,
  unansweredMs: () => 0,
  giveUp: () => {},
  beat: async () => {},
  close: async () => {},
}

const own = (lane: number, kind: LaneKind = 'pod') =>
  createOwnedLane(
    { lane, name: `lane ${lane}`, kind, fence: '' },
    session,
    { ids: createIdWatch(null, null), writers: createWriterWatch(session) },
    refusedBackoff,
  )

/** As long as no neighbour comes. */
const alone: HandOver = { isAlone: async () => true, begun: never, end: async () => {} }

const besideNeighbour: HandOver = { isAlone: async () => false, begun: AbortSignal.abort(), end: async () => {} }

/** A crew with lane 1 as its own, and what it is told to do otherwise. */
const crewWith = (given: { owner: Partial<Owner>; link?: BrokerLink; draining?: AbortSignal; handOver?: HandOver }) =>
  createCrew({
    settings: checkOptions({
      databaseUrl: 'postgres://localhost',
      rabbitmqUrl: 'amqp://localhost',
      lane: 'lane 1',
    }),
    owner: {
      session,
      backend: { pid: 1, startedAt: '' },
      silentSinceMs: Promise.resolve(null),
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
    listener: { listening: Promise.resolve(), add: () => {}, remove: () => {}, renew: () => {}, close: async () => {} },
    lookout: { add: () => {}, remove: () => {}, keep: async () => {} },
    memory: createPayloadMemory(),
    handOver: given.handOver ?? alone,
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
    owner: { release: async ({ lane }) => void freed.push(lane) },
    link,
    draining: AbortSignal.abort(),
    handOver: besideNeighbour,
  })
  crew.start(own(2, 'key'))
  await crew.ended()
  expect(freed).toEqual(released)
})

/** A session in which lanes hold nothing. */
const emptySession: ControlSession = { ...session, query: async () => ({ rows: [{ holds: false }], rowCount: 1 }) }

/** A crew of a relay that stops without a neighbour, until one comes: as it is asked for the `comesAt`th time, or later. */
const stoppingAlone = ({ comesAt = Number.POSITIVE_INFINITY, link }: { comesAt?: number; link?: BrokerLink } = {}) => {
  const begun = new AbortController()
  const freed: number[] = []
  const ends: string[] = []
  let asked = 0
  const crew = crewWith({
    owner: {
      session: emptySession,
      release: async ({ lane }) => {
        await nextTurn()
        freed.push(lane)
      },
    },
    draining: AbortSignal.abort(),
    handOver: {
      end: async () => void ends.push('hand-over'),
      isAlone: async () => {
        asked += 1
        if (asked === comesAt) begun.abort()
        return true
      },
      begun: begun.signal,
    },
    ...(link && { link: { ...link, up: () => begun.signal.aborted } }),
  })
  const start = (lane: number, kind: LaneKind = 'key') => crew.start({ ...own(lane, kind), session: emptySession })
  return {
    crew,
    start,
    freed,
    ends,
    come: () => begun.abort(),
    isAsked: (times: number) => expect.poll(() => asked).toBe(times),
  }
}

test('lanes that were emptied by a relay without a neighbour are let go when one comes, and those that end later at once', async () => {
  // As it comes, the third lane has just heard that there is none.
  const { crew, start, freed, ends, isAsked } = stoppingAlone({ comesAt: 3 })
  for (const lane of [2, 3]) start(lane)
  await isAsked(2)
  expect(freed).toEqual([])
  start(4)
  expect(await crew.ended()).toBe(true)
  expect(new Set(freed)).toEqual(new Set([2, 3, 4]))
  expect(ends).toEqual(['hand-over'])
})

test('one lane that cannot be let go keeps no other from it, is told at the end, and is not unheard until then', async () => {
  const uncaught = hearUncaught()
  const { crew, start, freed, isAsked, come } = stoppingAlone({ link: noLink })
  start(2)
  start(3, 'always')
  await isAsked(2)
  come()
  await expect.poll(() => freed).toEqual([3])
  await nextTurn()
  expect(uncaught).toEqual([])
  await expect(crew.ended()).rejects.toThrow('there is no broker')
})

test('nor is one that ends after a neighbour has come', async () => {
  const uncaught = hearUncaught()
  const { crew, start, freed } = stoppingAlone({ comesAt: 1, link: noLink })
  start(2)
  start(3, 'always')
  await expect.poll(() => freed).toEqual([3])
  await nextTurn()
  expect(uncaught).toEqual([])
  await expect(crew.ended()).rejects.toThrow('there is no broker')
})

test('a lane that was emptied and kept, and could not be looked into at the end, is none that was emptied', async () => {
  const lost = new AbortController()
  const losing: ControlSession = { ...emptySession, lost: lost.signal }
  const crew = crewWith({
    owner: { session: losing },
    draining: AbortSignal.abort(),
    handOver: { ...alone, end: async () => lost.abort(new OutboxError('session_lost', 'just now')) },
  })
  crew.start({ ...own(2, 'key'), session: losing })
  expect(await crew.ended()).toBe(false)
})
