import { spreadMs } from '../backoff.ts'
import type { OwnedLane } from '../lane/owned-lane.ts'
import type { RelaySettings } from '../options.ts'
import type { ControlSession } from '../own/control-session.ts'
import { pause } from '../pause.ts'
import { lookAtLanes } from '../read/look-at-lanes.ts'
import { lookBelow } from '../read/look-below.ts'
import { tryUntilDone } from '../try-until-done.ts'

/** Looks now and then at the lanes that sleep: a lost ring leaves a row that nobody tells of. */
export type Lookout = {
  add: (lane: OwnedLane) => void
  remove: (lane: OwnedLane) => void
  /** Rings for lanes with something to do, until the signal is aborted. */
  keep: (signal: AbortSignal) => Promise<void>
}

/** One statement looks at all of them: a relay with many lanes that sleep costs no more than with one. */
export const createLookout = (settings: RelaySettings, session: ControlSession): Lookout => {
  const sleeping = new Map<number, OwnedLane>()
  const look = async (): Promise<void> => {
    if (sleeping.size === 0) return
    for (const { bell } of await lookBelow(session, [...sleeping.values()])) bell.ring()
    if (sleeping.size === 0) return
    for (const { lane, waiting, nextDueMs } of await lookAtLanes(session, [...sleeping.values()])) {
      if (waiting || nextDueMs === 0) sleeping.get(lane)?.bell.ring()
    }
  }
  return {
    add: (owned) => void sleeping.set(owned.lane, owned),
    remove: ({ lane }) => void sleeping.delete(lane),
    keep: async (signal) => {
      while (!signal.aborted) {
        await pause(spreadMs(settings.pollMs), signal)
        await tryUntilDone(look, settings, signal)
      }
    },
  }
}
