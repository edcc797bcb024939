import type { LaneKind } from '../src/register/find-or-add-lane.ts'
import { createOwnedLane } from '../src/relay/lane/owned-lane.ts'
import { refusedBackoff } from '../src/relay/backoff.ts'
import type { ControlSession } from '../src/relay/own/control-session.ts'
import type { Owner } from '../src/relay/own/owner.ts'
import { createIdWatch } from '../src/relay/read/id-watch.ts'
import { createWriterWatch } from '../src/relay/read/writer-watch.ts'

/** A session for what asks nothing. */
export const noSession: ControlSession = {
  query: () => Promise.reject(new Error('there is no session')),
  lost: new AbortController().signal,
  fresh: () => true,
  unansweredMs: () => 0,
  giveUp: () => {},
  beat: async () => {},
  close: async () => {},
}

/** The lane of this id, as if it were owned. */
export const laneOf = (lane: number, kind: LaneKind = 'pod') =>
  createOwnedLane(
    { lane, name: `lane ${lane}`, kind, fence: '' },
    noSession,
    { ids: createIdWatch(null, null), writers: createWriterWatch(noSession) },
    refusedBackoff,
  )

/** An owner without Postgres, with lane 1 as its own, which it cannot have. */
export const noOwner: Owner = {
  session: noSession,
  backend: { pid: 1, startedAt: '' },
  silentSinceMs: Promise.resolve(null),
  neighbours: {
    join: async () => {},
    leave: async () => false,
    areThere: async () => false,
    keepLanes: async () => {},
  },
  stillThere: async () => [],
  home: laneOf(1),
  ownHome: async () => null,
  adopt: async () => 0,
  adoptOfAll: async () => 0,
  lastOrphans: async () => [],
  takeAll: async () => 0,
  database: 'test',
  lanes: () => [],
  close: async () => {},
  release: async () => {},
}
