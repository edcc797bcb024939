import { expectQueryable } from '../adapters/expect-queryable.ts'
import { namingRights } from '../adapters/missing-right.ts'
import type { Queryable } from '../adapters/queryable.ts'
import { OutboxError } from '../errors.ts'
import { nameOfKind } from '../values/name-of-kind.ts'
import { faultOfName } from '../option-checks.ts'
import { findOrAddLane, type LaneKind } from './find-or-add-lane.ts'

/** As the table's check has it: the longest name that Kubernetes gives a pod. */
export const longestLaneName = 253

/**
 * The number of the lane with this name, for `enqueue`'s `lane`. It is added if there is none; one that is there keeps its
 * kind. Without a relay of its own a lane of kind `pod` is adopted while it holds rows, an `always` one at once. Key lanes
 * are made by the migrations: one more would part a key that has messages. Transactions that add several register them in
 * one order, or they may wait for each other: Postgres gives one of them up then (40P01).
 *
 * @throws OutboxError `lane_invalid` for a name that is empty or has more than 253 characters, another kind, and the name of a
 * key lane; `option_invalid`, `right_missing`.
 */
export const registerLane = async (
  db: Queryable,
  name: string,
  kind: Exclude<LaneKind, 'key'> = 'pod',
): Promise<number> => {
  expectQueryable(db)
  if (!isOpenKind(kind)) throw new OutboxError('lane_invalid', `kind: expected "pod" or "always", got ${shown(kind)}`)
  const wrong = faultOfName(name, longestLaneName)
  if (wrong !== null) throw new OutboxError('lane_invalid', `name: ${wrong}`)
  const found = await findOrAddLane(namingRights(db, 'registerLane'), name, kind)
  if (found.kind === 'key') {
    throw new OutboxError('lane_invalid', `${name}: a lane of ordering keys, which enqueue chooses by itself`)
  }
  return found.lane
}

const shown = (kind: unknown): string => (typeof kind === 'string' ? kind : nameOfKind(kind))

/** For JavaScript, which the type does not keep from the others. */
const isOpenKind = (kind: string): boolean => kind === 'pod' || kind === 'always'
