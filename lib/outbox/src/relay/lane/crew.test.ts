import { expect, test } from 'vitest'
import { noLink } from '../../../test/no-link.ts'
import { refusedBackoff } from '../backoff.ts'
import { checkOptions } from '../options.ts'
import type { ControlSession } from '../own/control-session.ts'
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

test('lanes that could not be given up the first time are given up the next time', async () => {
  const own = (lane: number) =>
    createOwnedLane(
      { lane, name: `lane ${lane}`, kind: 'pod', fence: '' },
      session,
      createIdWatch(null, null),
      refusedBackoff,
    )
  const owned = new Map([own(1), own(2), own(3)].map((lane) => [lane.lane, lane]))
  let answers = true
  const owner = {
    session,
    neighbours: { join: async () => {}, leave: async () => false, keepLanes: async () => {} },
    home: own(1),
    ownHome: async () => null,
    adopt: async () => [],
    keyOrphans: async () => [],
    takeAll: async () => [],
    database: 'test',
    lanes: () => [...owned.values()],
    close: async () => {},
    release: async ({ lane }: { lane: number }) => {
      if (lane === 2 && answers) {
        answers = false
        throw new Error('not now')
      }
      owned.delete(lane)
    },
  }
  const crew = createCrew({
    settings: checkOptions({ databaseUrl: 'postgres://localhost', rabbitmqUrl: 'amqp://localhost', lane: 'lane 1' }),
    owner,
    link: noLink,
    listener: { listening: Promise.resolve(), add: () => {}, remove: () => {}, close: async () => {} },
    lookout: { add: () => {}, remove: () => {}, keep: async () => {} },
    memory: createPayloadMemory(),
    draining: never,
    over: never,
  })
  for (const lane of owned.values()) crew.start(lane)
  await expect(crew.releaseAll()).rejects.toThrow('not now')
  expect([...owned.keys()]).toEqual([2, 3])
  await crew.releaseAll()
  expect([...owned.keys()]).toEqual([])
})
