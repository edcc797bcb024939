import type { OwnedLane } from '../lane/owned-lane.ts'
import { freeLaneLock, tryLaneLock } from '../own/lane-lock.ts'

/**
 * From now on whoever writes to the lane rings. False while a writer asks whether to, which takes no longer than a row
 * does.
 */
export const takeDoorbell = async (owned: OwnedLane): Promise<boolean> => {
  owned.holdsDoorbell ||= await tryLaneLock(owned.session, 'sleeper', owned.lane)
  return owned.holdsDoorbell
}

/** Nobody needs to ring for a relay that is awake. */
export const freeDoorbell = async (owned: OwnedLane): Promise<void> => {
  if (!owned.holdsDoorbell) return
  await freeLaneLock(owned.session, 'sleeper', owned.lane)
  owned.holdsDoorbell = false
}
