import type { LaneRow } from '../read/lane-row.ts'

/** The payloads, and headers, that all lanes of a relay have read and not settled. */
export type PayloadMemory = {
  /** Takes them in; returns what lets them go. */
  hold: (rows: Iterable<LaneRow>) => () => void
  /** Whether there are so many that no lane may have more than one batch. */
  isTight: () => boolean
}

/** Bytes of them, by which a lane alone can have four batches of large messages in flight. */
const enough = 16 * 1024 * 1024

export const createPayloadMemory = (): PayloadMemory => {
  let held = 0
  return {
    hold: (rows) => {
      let bytes = 0
      for (const { size } of rows) bytes += size
      held += bytes
      return () => {
        held -= bytes
      }
    },
    isTight: () => held >= enough,
  }
}
