import type { Pointers } from '../src/relay/read/pointers.ts'

/** As if all up to this id had been read, and nothing could appear there any more. */
export const raiseFloor = (pointers: Pointers, to: bigint): void => {
  pointers.sawRow(to)
  pointers.drewXid(1n, to)
  pointers.sawEnded(2n)
  pointers.startRead(null).answered(null, null)
}
