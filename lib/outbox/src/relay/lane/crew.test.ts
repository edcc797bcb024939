import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { LaneKind } from '../../register/find-or-add-lane.ts'
import { alone, besideNeighbour, crewWith } from '../../../test/crew-with.ts'
import { hearUncaught } from '../../../test/hear-uncaught.ts'
import { noLink } from '../../../test/no-link.ts'
import { laneOf, noSession } from '../../../test/no-owner.ts'
import { OutboxError } from '../../errors.ts'
import type { ControlSession } from '../own/control-session.ts'
import type { BrokerLink } from '../publish/broker-link.ts'

test('lanes that could not be given up the first time are given up the next time', async () => {
  const owned = new Map([laneOf(1), laneOf(2), laneOf(3)].map((lane) => [lane.lane, lane]))
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
  crew.start(laneOf(2, 'key'))
  await crew.ended()
  expect(freed).toEqual(released)
})

/** A session in which lanes hold nothing. */
const emptySession: ControlSession = { ...noSession, query: async () => ({ rows: [{ holds: false }], rowCount: 1 }) }

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
  const start = (lane: number, kind: LaneKind = 'key') => crew.start({ ...laneOf(lane, kind), session: emptySession })
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
  crew.start({ ...laneOf(2, 'key'), session: losing })
  expect(await crew.ended()).toBe(false)
})

test('an end that is asked for again, when the time is over, does not find lanes of the first one half-way', async () => {
  const over = new AbortController()
  const answers: (() => void)[] = []
  let isAtEnd = false
  const session: ControlSession = {
    ...noSession,
    query: async () => {
      if (isAtEnd) await new Promise<void>((resolve) => answers.push(resolve))
      return { rows: [{ holds: false }], rowCount: 1 }
    },
  }
  const crew = crewWith({
    owner: { session },
    draining: AbortSignal.abort(),
    over: over.signal,
    handOver: { ...alone, end: async () => void (isAtEnd = true) },
  })
  for (const lane of [2, 3]) crew.start({ ...laneOf(lane, 'key'), session })
  const first = crew.ended()
  await expect.poll(() => answers.length).toBe(1)
  answers[0]?.()
  await expect.poll(() => answers.length).toBe(2)
  over.abort()
  const second = crew.ended()
  await nextTurn()
  answers[1]?.()
  expect(await Promise.all([first, second])).toEqual([true, true])
})

test('an end that is asked for again counts the lanes that were set to work after the first time', async () => {
  const over = new AbortController()
  const crew = crewWith({ owner: {}, over: over.signal })
  expect(await crew.ended()).toBe(true)
  crew.start(laneOf(1))
  over.abort()
  expect(await crew.ended()).toBe(false)
})

test('a fault in the work on a lane ends the session, is told at the end, and is not unheard until then', async () => {
  const uncaught = hearUncaught()
  const fault = new Error('of the lane')
  const reasons: string[] = []
  const crew = crewWith({
    owner: { session: { ...noSession, giveUp: (reason) => void reasons.push(reason) } },
    link: {
      ...noLink,
      watch: () => {
        throw fault
      },
    },
  })
  crew.start(laneOf(1))
  await nextTurn()
  expect(reasons).toEqual(['the work on a lane failed: of the lane'])
  expect(uncaught).toEqual([])
  await expect(crew.ended()).rejects.toBe(fault)
})

test('an end waits until lanes that were kept are let go, when a neighbour has come', async () => {
  const { crew, start, freed, isAsked, come } = stoppingAlone()
  start(2)
  await isAsked(1)
  await nextTurn()
  come()
  await crew.ended()
  expect(freed).toEqual([2])
})

test('its own lane is looked into at the end when the lanes of others are let go, and not before', async () => {
  const [begun, freed] = [new AbortController(), Promise.withResolvers<void>()]
  const happened: string[] = []
  const session: ControlSession = {
    ...emptySession,
    query: async () => {
      if (begun.signal.aborted) happened.push('looked')
      return { rows: [{ holds: false }], rowCount: 1 }
    },
  }
  const crew = crewWith({
    owner: {
      session,
      release: async ({ lane }) => {
        happened.push(`asked to free ${lane}`)
        await freed.promise
        happened.push(`freed ${lane}`)
      },
    },
    draining: AbortSignal.abort(),
    handOver: { ...alone, begun: begun.signal, end: async () => begun.abort() },
  })
  crew.start({ ...laneOf(1), session })
  crew.start({ ...laneOf(2, 'key'), session })
  const ended = crew.ended()
  await expect.poll(() => happened).toContain('asked to free 2')
  freed.resolve()
  expect(await ended).toBe(true)
  expect(happened).toEqual(['asked to free 2', 'freed 2', 'looked'])
})

test('of lanes that were given up with something in them only its own counts at the end', async () => {
  const releaseOf = async (lane: number) => {
    const crew = crewWith({ owner: {} })
    crew.start(laneOf(lane))
    await crew.releaseAll()
    return crew.ended()
  }
  expect(await releaseOf(1)).toBe(false)
  expect(await releaseOf(2)).toBe(true)
})

test('what was confirmed in a lane is deleted before it is let go', async () => {
  const events: string[] = []
  const session: ControlSession = {
    ...noSession,
    query: async () => {
      events.push('deleted')
      return { rows: [{ same: true, xid: '9', xmin: '9' }], rowCount: 1 }
    },
  }
  const crew = crewWith({
    owner: { session, release: async () => void events.push('released') },
    draining: AbortSignal.abort(),
    handOver: besideNeighbour,
  })
  crew.start({ ...laneOf(2, 'key'), session, confirmed: [5n] })
  await crew.ended()
  expect(events).toEqual(['deleted', 'released'])
})
