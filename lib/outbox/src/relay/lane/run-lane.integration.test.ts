import { expect, test } from 'vitest'
import { openLink } from '../../../test/open-link.ts'
import { ownLane } from '../../../test/own-lane.ts'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'
import { checkOptions } from '../options.ts'
import { createLaneChannel } from '../publish/lane-channel.ts'
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
