import { readColumns } from '../../read-columns.ts'
import { keyOf, type OwnedLane } from '../lane/owned-lane.ts'
import type { LaneRow } from './lane-row.ts'

/** Rows that are on their way from now on. */
export const remember = ({ known, pointers }: OwnedLane, rows: readonly LaneRow[]): void => {
  for (const row of rows) known.set(row.id, keyOf(row))
  const last = lastOf(rows)
  if (last !== null) pointers.sawRow(last)
}

/** Forgets those of the rows that a whole read did not bring: somebody has deleted them. */
export const forgetMissing = ({ held, suspects }: OwnedLane, awaited: Iterable<bigint>, found: readonly LaneRow[]) => {
  const there = new Set(found.map(({ id }) => id))
  for (const id of awaited) {
    if (there.has(id)) continue
    held.release(id)
    suspects.delete(id)
  }
}

/** The last of the rows, or null. */
export const lastOf = (rows: readonly LaneRow[]): bigint | null => rows.at(-1)?.id ?? null

/** Reads the one id that is asked for, or null. */
export const parseId = (row: unknown): bigint | null => {
  const { id } = readColumns(row, 'outbox_message', { id: 'string?' })
  return id === null ? null : BigInt(id)
}
