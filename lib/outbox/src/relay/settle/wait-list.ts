import type { Refusal } from '../publish/outcome.ts'
import type { Closed } from './closed-destinations.ts'

/**
 * Why a row is held back and until when, and the destination that it closes; null if it is held for itself. Of its attempts
 * so many were refusals that count towards its parking.
 */
export type Held = {
  key: string
  attempt: number
  refusals: number
  untilMs: number
  why: Refusal
  closes: Closed | null
}

/** What is asked about the rows that are held. */
export type Waiting = {
  /** Whether no row is held. */
  isEmpty: () => boolean
  /** Whether a row is held that nobody has refused: its confirm did not come. */
  lacksConfirm: () => boolean
  /** Rows above this id whose time has not come: they are not to be read. */
  waiting: (above?: bigint) => bigint[]
  /** The keys of rows whose time has not come. */
  waitingKeys: () => string[]
  /** Whether such a row has this key. */
  waitsForKey: (key: string) => boolean
  /** Rows whose time has come, those that were tried last at the end. */
  due: () => bigint[]
  /** The key of a row that is held, or null. */
  keyOf: (id: bigint) => string | null
  /** Milliseconds until the next row's time comes, 0 if it has, or null if no row is held. */
  nextMs: () => number | null
  /** Whether publishing this row made the broker close the channel, which hits everything else that is in flight. */
  closedChannel: (id: bigint) => boolean
  /** Whether it made the broker close the connection, which hits all other lanes as well. */
  closedConnection: (id: bigint) => boolean
}

/** The rows that are held, each until its time comes. */
export type WaitList = {
  asked: Waiting
  get: (id: bigint) => Held | null
  /** Puts the row to the end: of more rows than can be tried none is left out for ever. */
  add: (id: bigint, held: Held) => void
  /** Takes the row off, and gives what it was. */
  remove: (id: bigint) => Held | null
  /** Those that are held for themselves. */
  alone: () => Iterable<bigint>
  /** How many are held for themselves. */
  countAlone: () => number
  isDue: (id: bigint) => boolean
  /** The time of a row that is to wait for so long. */
  timeIn: (ms: number) => number
}

/**
 * Of more rows than this, those whose time comes within as many milliseconds are tried together: each alone would wake the
 * lane, hundreds of times a second.
 */
const fewHeld = 1_000
const gatherMs = 1_000

export const createWaitList = (now: () => number): WaitList => {
  const rows = new Map<bigint, Held>()
  const alone = new Set<bigint>()
  const waitsAt = (atMs: number) => rows.entries().filter(([, { untilMs }]) => untilMs > atMs)
  return {
    asked: {
      isEmpty: () => rows.size === 0,
      lacksConfirm: () => rows.values().some(({ why }) => why === 'unconfirmed'),
      waiting: (above = 0n) =>
        Array.from(
          waitsAt(now()).filter(([id]) => id > above),
          ([id]) => id,
        ),
      waitingKeys: () => Array.from(waitsAt(now()), ([, { key }]) => key),
      waitsForKey: (key) => waitsAt(now()).some(([, held]) => held.key === key),
      due: () => {
        const at = now()
        return Array.from(
          rows.entries().filter(([, { untilMs }]) => untilMs <= at),
          ([id]) => id,
        )
      },
      keyOf: (id) => rows.get(id)?.key ?? null,
      nextMs: () => {
        let firstMs = Number.POSITIVE_INFINITY
        for (const { untilMs } of rows.values()) firstMs = Math.min(firstMs, untilMs)
        return rows.size === 0 ? null : Math.max(0, Math.ceil(firstMs - now()))
      },
      closedChannel: (id) => rows.get(id)?.why === 'closed channel',
      closedConnection: (id) => rows.get(id)?.why === 'closed connection',
    },
    get: (id) => rows.get(id) ?? null,
    add: (id, held) => {
      rows.delete(id)
      rows.set(id, held)
      if (held.closes === null) alone.add(id)
      else alone.delete(id)
    },
    remove: (id) => {
      const row = rows.get(id) ?? null
      rows.delete(id)
      alone.delete(id)
      return row
    },
    alone: () => alone,
    countAlone: () => alone.size,
    isDue: (id) => (rows.get(id)?.untilMs ?? Infinity) <= now(),
    timeIn: (ms) => {
      const at = now() + ms
      return rows.size > fewHeld ? Math.ceil(at / gatherMs) * gatherMs : at
    },
  }
}
