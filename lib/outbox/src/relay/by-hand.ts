import type { OwnedLane } from './lane/owned-lane.ts'
import type { Pass } from './lane/pass.ts'
import type { PayloadMemory } from './lane/payload-memory.ts'
import { takePass } from './lane/take-pass.ts'
import type { RelaySettings } from './options.ts'
import { openOwner, type Owner } from './own/owner.ts'
import type { BrokerLink } from './publish/broker-link.ts'
import { createLaneChannel, type LaneChannel } from './publish/lane-channel.ts'

/** What one turn did: nothing, since a neighbour owns the lane or the broker takes no messages for now; or one pass. */
export type Turn = { kind: 'waiting' } | { kind: 'blocked' } | ({ kind: 'done' } & Pass)

/** Single turns on one control session. */
export type ByHand = {
  owner: Owner
  takeTurn: () => Promise<Turn>
  /** Gives up what is in flight, and leaves the session as it is. */
  abandon: () => void
}

export type ByHandMeans = { settings: RelaySettings; link: BrokerLink; memory: PayloadMemory; over: AbortSignal }

/** Lanes that are taken in a turn, beside those that are owned already. */
const takenATurn = 32

/** @throws What `openOwner` throws. */
export const openByHand = async ({ settings, link, memory, over }: ByHandMeans): Promise<ByHand> => {
  const owner = await openOwner(settings, over)
  const channels = new Map<OwnedLane, LaneChannel>()

  const channelOf = (owned: OwnedLane): LaneChannel => {
    const channel =
      channels.get(owned) ?? createLaneChannel(owned, { database: owner.database, link, observe: settings.observe })
    channels.set(owned, channel)
    return channel
  }

  const pass = async (owned: OwnedLane): Promise<Pass> => {
    const channel = channelOf(owned)
    await channel.open()
    const done = await takePass(owned, { ...settings, link, channel, memory, leaving: over })
    const isOther = owned.kind === 'pod' && owned.lane !== owner.home.lane
    if (isOther && done.read === 0 && done.moved === 0) {
      channel.close()
      channels.delete(owned)
      await owner.release(owned, 'empty')
    }
    return done
  }

  return {
    owner,
    takeTurn: async () => {
      await link.connect()
      if ((await owner.ownHome()) === null) return { kind: 'waiting' }
      if (link.blocked()) return { kind: 'blocked' }
      if (settings.adopt) await owner.adoptOfAll(takenATurn)
      const turn: Pass = { moved: 0, read: 0, confirmed: 0, refused: 0, unknown: 0 }
      for (const owned of owner.lanes()) {
        const { moved, read, confirmed, refused, unknown } = await pass(owned)
        turn.moved += moved
        turn.read += read
        turn.confirmed += confirmed
        turn.refused += refused
        turn.unknown += unknown
      }
      return { kind: 'done', ...turn }
    },
    abandon: () => {
      for (const channel of channels.values()) channel.close()
    },
  }
}
