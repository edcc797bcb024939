import type { OwnedLane } from '../lane/owned-lane.ts'
import { lookBelow } from './look-below.ts'
import { readKeyLane } from './read-key-lane.ts'
import type { Batch } from './bounded-read.ts'
import { readFromFloor, readOn } from './read-lane.ts'
import { seeWriters } from './writer-watch.ts'

/** Reads the next rows of a lane, from the floor on. What is in flight by then is left out, in a key lane with its keys. */
export type Reader = () => Promise<Batch>

/** How long to read on from one look for rows that committed late below what was read to the next, milliseconds. */
const floorReadMs = 250

export const createReader = (owned: OwnedLane, limit: number): Reader =>
  owned.kind === 'key' ? keyReader(owned, limit) : ownReader(owned, limit)

const ownReader = (owned: OwnedLane, limit: number): Reader => {
  let floorReadAtMs = Number.NEGATIVE_INFINITY
  return async () => {
    if (performance.now() - floorReadAtMs < floorReadMs) return readOn(owned, limit)
    await lookBelow(owned.session, [owned])
    await seeWriters(owned)
    const batch = await readFromFloor(owned, limit)
    // From its end on: it may itself take longer, and all reads would be of this kind.
    floorReadAtMs = performance.now()
    return batch
  }
}

/** Passes each key once. */
const keyReader = (owned: OwnedLane, limit: number): Reader => {
  const busy = new Set(owned.known.values())
  let afterKey = ''
  return async () => {
    if (afterKey === '') await lookBelow(owned.session, [owned])
    const batch = await readKeyLane(owned, limit, { afterKey, busy })
    afterKey = batch.lastKey
    return batch
  }
}
