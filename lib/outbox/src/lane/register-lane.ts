import { expectQueryable } from '../adapters/expect-queryable.ts'
import type { Queryable } from '../adapters/queryable.ts'
import { OutboxError } from '../errors.ts'
import { faultOfName } from '../option-checks.ts'
import { readColumns } from '../read-columns.ts'

const laneKinds = ['pod', 'key', 'always'] as const

/** Whose lane it is: a pod's own, one of the key lanes, or the one whose relay always runs. */
export type LaneKind = (typeof laneKinds)[number]

export const isLaneKind = (kind: string): kind is LaneKind => laneKinds.some((known) => known === kind)

/** As the table's check has it: the longest name that Kubernetes gives a pod. */
export const longestLaneName = 253

/**
 * The number of the lane with this name, for `enqueue`'s `lane`. It is added if there is none; one that is there keeps its
 * kind. Without a relay of its own a lane of kind `pod` is adopted while it holds rows, an `always` one at once. Key lanes
 * are made by the migrations: one more would part a key that has messages.
 *
 * @throws OutboxError `lane_invalid` for a name that is empty or has more than 253 characters, another kind, and the name of a
 * key lane.
 */
export const registerLane = async (
  db: Queryable,
  name: string,
  kind: Exclude<LaneKind, 'key'> = 'pod',
): Promise<number> => {
  expectQueryable(db)
  if (!isOpenKind(kind)) throw new OutboxError('lane_invalid', `kind: expected "pod" or "always", got ${kind}`)
  const wrong = faultOfName(name, longestLaneName)
  if (wrong !== null) throw new OutboxError('lane_invalid', `name: ${wrong}`)
  const { id, kind: known } = await findOrAdd(db, name, kind)
  if (known === 'key') {
    throw new OutboxError('lane_invalid', `${name}: a lane of ordering keys, which enqueue chooses by itself`)
  }
  return id
}

/** The lane with this name, of whatever kind; one of this kind is added if there is none. */
export const findOrAdd = async (db: Queryable, name: string, kind: LaneKind): Promise<{ id: number; kind: string }> => {
  // Looking first spares the sequence: an insert that does nothing draws an id all the same, and every start is one.
  const known = await findLane(db, name)
  if (known !== null) return known
  await db.query(addLaneSql, [name, kind])
  const added = await findLane(db, name)
  if (added === null) throw new OutboxError('lane_invalid', `the lane ${name} was removed while it was registered`)
  return added
}

/** For JavaScript, which the type does not keep from the others. */
const isOpenKind = (kind: string): boolean => kind === 'pod' || kind === 'always'

const findLane = async (db: Queryable, name: string): Promise<{ id: number; kind: string } | null> => {
  const { rows } = await db.query(findLaneSql, [name])
  return rows.length === 0 ? null : readColumns(rows[0], 'outbox_lane', { id: 'number', kind: 'string' })
}

/** Whoever asks for a lane is about to use it, so it must not be removed now, however long it lay idle. */
const findLaneSql = `update outbox_lane set seen_at = now() where name = $1 returning id, kind`

const addLaneSql = `insert into outbox_lane (name, kind) values ($1, $2) on conflict (name) do nothing`
