import { expect, test } from 'vitest'
import { openLink } from '../../../test/open-link.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'
import type { Observation } from '../observation.ts'
import { checkOptions } from '../options.ts'
import { createLaneChannel, type LaneChannel } from '../publish/lane-channel.ts'
import { createPayloadMemory } from './payload-memory.ts'
import { runLane } from './run-lane.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

test('a lane that slept, and in which a row was seen then that has no way out, is left and not asleep', async () => {
  const owned = await ownLane('relay')
  const link = await openLink()
  const [leaving, draining] = [new AbortController(), new AbortController()]
  let isUp = true
  const waitsForBroker = Promise.withResolvers<void>()
  const watched = {
    ...owned,
    bell: {
      ...owned.bell,
      wait: (ms: number, signal: AbortSignal) => {
        // One that is to be emptied waits so for nothing else.
        if (signal === leaving.signal) waitsForBroker.resolve()
        return owned.bell.wait(ms, signal)
      },
    },
  }
  const ending = runLane(watched, {
    settings: checkOptions({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: lane.name }),
    link: { ...link, up: () => isUp },
    channel: createLaneChannel(owned, { database: 'test', link, observe: () => {} }),
    lookout: { add: () => {}, remove: () => {}, keep: async () => {} },
    memory: createPayloadMemory(),
    leaving: leaving.signal,
    draining: draining.signal,
    stays: true,
  })
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  isUp = false
  // Nobody listens, so its ring is lost.
  await lane.commit({ routingKey: lane.name, payload: 1 })
  draining.abort()
  await waitsForBroker.promise
  leaving.abort()
  expect(await ending).toBe('left')
})

/** Its confirms of messages to this queue never come, and every deadline is over at once. */
const withoutConfirmsOf = (channel: LaneChannel, queue: string): LaneChannel => ({
  ...channel,
  open: async () => {
    const real = await channel.open()
    return {
      ...real,
      publish: (row, onEnd) => {
        if (row.routingKey !== queue) return real.publish(row, onEnd)
        queueMicrotask(() => onEnd({ kind: 'unknown', cause: 'no confirm' }))
      },
    }
  },
})

test('a lane waits no longer each time for a destination without confirms while its other rows go through', async () => {
  const owned = await ownLane('relay')
  const link = await openLink()
  const observed: Observation[] = []
  const observe = (observation: Observation) => void observed.push(observation)
  const leaving = new AbortController()
  // Before the first read: nobody listens.
  await lane.commit({ routingKey: 'silent', payload: 'waits' })
  const ending = runLane(owned, {
    settings: checkOptions({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: lane.name, observe }),
    link,
    channel: withoutConfirmsOf(createLaneChannel(owned, { database: 'test', link, observe }), 'silent'),
    lookout: { add: () => {}, remove: () => {}, keep: async () => {} },
    memory: createPayloadMemory(),
    leaving: leaving.signal,
    draining: new AbortController().signal,
    stays: true,
  })
  const told = () => observed.filter((observation) => observation.kind === 'broker.unavailable')
  await expect.poll(() => told().length, soon).toBeGreaterThan(2)
  expect(told().slice(0, 3)).toMatchObject([{ attempt: 1 }, { attempt: 2 }, { attempt: 3 }])
  const answered = () => observed.findIndex((seen) => seen.kind === 'relay.batch' && seen.confirmed > 0)
  await lane.commit({ routingKey: lane.name, payload: 'goes' })
  const nextTold = () => observed.slice(answered()).find(({ kind }) => kind === 'broker.unavailable')
  await expect
    .poll(() => (answered() < 0 ? null : nextTold()), soon)
    .toMatchObject({
      attempt: 1,
      retryInMs: expect.toSatisfy((ms: number) => ms >= 50 && ms <= 100),
    })
  leaving.abort()
  await ending
})
