import type { OwnedLane } from '../src/relay/lane/owned-lane.ts'
import type { Pass } from '../src/relay/lane/pass.ts'
import { createPayloadMemory } from '../src/relay/lane/payload-memory.ts'
import { takePass } from '../src/relay/lane/take-pass.ts'
import { checkOptions } from '../src/relay/options.ts'
import { createLaneChannel } from '../src/relay/publish/lane-channel.ts'
import { openLink } from './open-link.ts'
import { database, vhost } from './use-lane.ts'

/** Takes one pass through the lane after the other, each when it is called. */
export const passesOf = async (owned: OwnedLane, window = 2_000): Promise<() => Promise<Pass>> => {
  const link = await openLink()
  const settings = checkOptions({ databaseUrl: database.url, rabbitmqUrl: vhost.url, lane: owned.name, window })
  const channel = createLaneChannel(owned, { database: 'test', link, observe: () => {} })
  const leaving = new AbortController().signal
  return () => takePass(owned, { ...settings, link, channel, memory: createPayloadMemory(), leaving })
}
