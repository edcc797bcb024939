import type { RegisteredLane } from '../../register/find-or-add-lane.ts'

/** The names of a key lane's exclusive queues. */
export type FenceNames = {
  /** By the running database, so that a copy of it has others. */
  own: string
  /** By the lane's row, which a copy has as well: what relays of the version before hold alone. */
  former: string
}

/** `database` is what `identifyDatabase` gave. */
export const fenceNames = ({ lane, fence }: RegisteredLane, database: string): FenceNames => ({
  own: `outbox.lane.${database}.${lane}`,
  former: `outbox.lane.${fence}`,
})
