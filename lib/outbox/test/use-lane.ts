import { cloneDatabase, createVhost } from '@esteira/test/support'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { type LaneUnderTest, openLane } from './lane-under-test.ts'

/** The services of the file. */
export let database: Awaited<ReturnType<typeof cloneDatabase>>
export let vhost: Awaited<ReturnType<typeof createVhost>>

/** The lane of the test, with a queue of its name. */
export let lane: LaneUnderTest

/** Gives a test file a database and a virtual host, and each of its tests a lane. */
export const useLane = (queue: 'classic' | 'quorum' = 'classic'): void => {
  beforeAll(async () => {
    ;[database, vhost] = await Promise.all([cloneDatabase(), createVhost()])
  })
  afterAll(() => Promise.all([database.drop(), vhost.drop()]))
  beforeEach(async ({ task }) => {
    lane = await openLane(task.id, { databaseUrl: database.url, rabbitmqUrl: vhost.url })
    await lane.declareQueue(lane.name, queue)
  })
  afterEach(() => lane.close())
}
