import { expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'
import { checkOptions } from '../options.ts'
import { startListener } from './listener.ts'

const soon = { timeout: 10_000, interval: 10 }

useLane()

test('a lane is rung for once it is listened for, since whoever wrote before rang for nobody', async () => {
  const listener = startListener(checkOptions({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: lane.name }))
  onTestFinished(listener.close)
  await listener.listening
  let rings = 0
  listener.add(lane.id, () => (rings += 1))
  await expect.poll(() => rings, soon).toBe(1)
  await lane.db.query(`notify outbox_lane_${lane.id}`)
  await expect.poll(() => rings, soon).toBe(2)
})
