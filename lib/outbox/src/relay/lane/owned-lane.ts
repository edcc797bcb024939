import type { RegisteredLane } from '../../register/find-or-add-lane.ts'
import type { Backoff } from '../backoff.ts'
import type { ControlSession } from '../own/control-session.ts'
import { type BelowWatch, createBelowWatch } from '../read/below-watch.ts'
import type { IdWatch } from '../read/id-watch.ts'
import { createKeyRounds, type KeyRounds } from '../read/key-rounds.ts'
import { createMovePlace, type MovePlace } from '../read/move-place.ts'
import { createPointers, type Pointers } from '../read/pointers.ts'
import { createRounds, type Rounds } from '../read/rounds.ts'
import { createStrayWatch, type StrayWatch } from '../read/stray-watch.ts'
import type { WriterWatch } from '../read/writer-watch.ts'
import { createHeldRows, type HeldRows } from '../settle/held-rows.ts'
import { type Bell, createBell } from '../wake/bell.ts'
import { createPace, type Pace } from './pace.ts'

/**
 * What a suspect goes without: other rows on its channel, other lanes on the connection, or anything else there. One of a
 * connection goes beside those of its own lane first, so that lanes that had no part in it are cleared by one batch each.
 */
export type Seclusion = 'from its lane' | 'from other lanes' | 'from all'

/**
 * A lane while this relay owns it. All that the relay remembers of the lane's rows is here and goes with the session:
 * the next one may see another server, or an older state of this one, whose ids need not mean the same rows.
 */
export type OwnedLane = RegisteredLane & {
  session: ControlSession
  bell: Bell
  /**
   * Whether this session holds the lane's doorbell, so that whoever commits rings. It takes it when nothing is left to
   * read.
   */
  holdsDoorbell: boolean
  pointers: Pointers
  /** When to look below the floor. */
  below: BelowWatch
  /** Whether ids still go up: all that is remembered here rests on it. */
  ids: IdWatch
  /** Who may still bring a row, where an xid in progress holds the lane up. */
  writers: WriterWatch
  /** In an own lane, what was refused and is too much to be held. */
  rounds: Rounds
  /** The same in a key lane. */
  keyRounds: KeyRounds
  /** Rows that were read and have not come to an end, with their keys: not to be read again meanwhile. */
  known: Map<bigint, string>
  /** Rows that were confirmed and not yet deleted. They stay known until they are. */
  confirmed: bigint[]
  /** Rows that the broker refused, and when each is tried again. */
  held: HeldRows
  /** Rows in flight when the broker closed the channel or the connection, and what each is not to meet there again. */
  suspects: Map<bigint, Seclusion>
  /** How many rows to ask for if the next read is weighed; null if it is not, since the last rows were small. */
  weighedRows: number | null
  /** In a key lane, when to look for rows without a key. */
  strays: StrayWatch
  /** Where the next move of scheduled rows begins. */
  movePlace: MovePlace
  /** In a key lane, when to move what is due. */
  moving: Pace
  /** In a key lane, when to raise the floor. */
  raising: Pace
}

export const createOwnedLane = (
  name: RegisteredLane,
  session: ControlSession,
  { ids, writers }: Pick<OwnedLane, 'ids' | 'writers'>,
  backoff: Backoff,
): OwnedLane => {
  const pointers = createPointers()
  return {
    ...name,
    session,
    bell: createBell(),
    holdsDoorbell: false,
    pointers,
    below: createBelowWatch(),
    ids,
    writers,
    rounds: createRounds(backoff, pointers),
    keyRounds: createKeyRounds(backoff),
    known: new Map(),
    confirmed: [],
    held: createHeldRows(backoff, name.kind === 'key' ? belowAll : pointers),
    suspects: new Map(),
    weighedRows: null,
    strays: createStrayWatch(),
    movePlace: createMovePlace(),
    moving: createPace(),
    raising: createPace(),
  }
}

/** In a key lane the floor stays below the rows of closed destinations, and does not go back for them. */
const belowAll = { floor: () => 0n, goBack: () => {} }

/** The key of a row in a key lane; rows without one share one. */
export const keyOf = ({ orderingKey }: { orderingKey: string | null }): string => orderingKey ?? ''

/** Rows above the floor that are on their way or held back, and so not to be read. */
export const takenRows = ({ known, held }: OwnedLane, floor: bigint): string[] =>
  [...[...known.keys()].filter((id) => id > floor), ...held.waiting(floor)].map(String)

/** Whether there is nothing that reads leave out. */
export const isAllOpen = ({ held, keyRounds }: OwnedLane): boolean => held.isEmpty() && !keyRounds.isOn()

/** Whether to look for rows without a key now: it is time, and none of them is held back, which holds back the others. */
export const looksForStrays = ({ kind, strays, held }: OwnedLane): boolean =>
  kind === 'key' && strays.isDue() && !held.waitsForKey('')

/**
 * Rows that were tried and are to be read again now, each once: a suspect may be due as well. A read from the floor brings
 * them, if they are there still.
 */
export const awaitedRows = ({ known, held, suspects }: OwnedLane): bigint[] =>
  [...new Set([...suspects.keys(), ...held.due()])].filter((id) => !known.has(id))

/** The first row on its way that nothing but a read from the floor brings again, or null. */
export const lowestRow = ({ known, held }: OwnedLane): bigint | null => {
  let lowest: bigint | null = null
  for (const id of known.keys()) if ((lowest === null || id < lowest) && held.keyOf(id) === null) lowest = id
  return lowest
}
