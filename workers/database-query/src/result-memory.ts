import { DatabaseQueryError } from './errors.ts'

/** What the rows of one transaction may take in memory, bytes: they are there until the engine has taken them. */
const mostBytes = 64 * 1024 * 1024

/** What those of any other transaction may take beside them, and those of all others together. */
const [usualBytes, usualBytesOfAll] = [4 * 1024 * 1024, 64 * 1024 * 1024]

/** What a row takes in memory beside its values, bytes. */
export const bytesOfRow = 128

/** Transactions that wait for their turn in hand: each keeps the place of a job that may be a small one. */
const mostWaiting = 8

/** The memory that a process has for the rows of statements that may write. */
export type ResultMemory = {
  open: () => ResultShare
  /**
   * Waits until nobody else has much, behind those who came before. Null where too many wait already, or when the signal is
   * aborted before that.
   */
  turn: (signal: AbortSignal) => Promise<Turn | null>
}

/** What one transaction has of it, until it is closed. */
export type ResultShare = {
  /**
   * Counts a row that is kept, by the bytes that its values take in memory.
   *
   * @throws DatabaseQueryError `result_too_large`, or `memory_taken` where it would do at another time.
   */
  keep: (bytes: number) => void
  /**
   * Makes room for rows that take so many bytes, and were counted when they were given first.
   *
   * @throws DatabaseQueryError `memory_taken`
   */
  makeRoom: (bytes: number) => void
  close: () => void
}

/** Until it is over, whatever is opened by it may have much. */
export type Turn = { open: () => ResultShare; end: () => void }

/** What may have much. `enter` is called when it has waited for that, and is the one that may. */
type Member = { enter: () => void }

/**
 * Memory in which one transaction at a time has much, and all others have little, together no more than that one. One that would need much beside
 * another is given up, and waits for its turn outside of the database. If it waited as it is, it would do so with its
 * locks, and the one that has the memory may be waiting for those.
 */
export const createResultMemory = (): ResultMemory => {
  let largest: Member | null = null
  const waiting = new Set<Member>()
  /** What all that have little take together. */
  let usual = 0

  const openShare = (mayHaveMuch: () => boolean, close: () => void): ResultShare => {
    let [kept, keptBefore, counted] = [0, 0, 0]
    const count = (bytes: number): void => {
      usual += bytes - counted
      counted = bytes
    }
    const expectRoom = (): void => {
      const bytes = kept + keptBefore
      const isUsual = bytes <= usualBytes && usual - counted + bytes <= usualBytesOfAll
      if (!isUsual && !mayHaveMuch()) throw taken()
      count(isUsual ? bytes : 0)
    }
    return {
      keep: (bytes) => {
        kept += bytes + bytesOfRow
        if (kept > mostBytes) throw tooMuch()
        expectRoom()
      },
      makeRoom: (bytes) => {
        keptBefore += bytes
        expectRoom()
      },
      close: () => {
        count(0)
        close()
      },
    }
  }

  const leave = (member: Member): void => {
    if (largest !== member) return
    const [next = null] = waiting
    largest = next
    if (next === null) return
    waiting.delete(next)
    next.enter()
  }

  return {
    open: () => {
      const member: Member = { enter: () => {} }
      return openShare(
        () => (largest ??= member) === member,
        () => leave(member),
      )
    },
    turn: async (signal) => {
      const entered = Promise.withResolvers<boolean>()
      const member: Member = { enter: () => entered.resolve(true) }
      const turn: Turn = {
        open: () =>
          openShare(
            () => largest === member,
            () => {},
          ),
        end: () => leave(member),
      }
      if ((largest ??= member) === member) return turn
      if (waiting.size >= mostWaiting || signal.aborted) return null
      waiting.add(member)
      const giveUp = () => {
        if (waiting.delete(member)) entered.resolve(false)
      }
      signal.addEventListener('abort', giveUp)
      try {
        return (await entered.promise) ? turn : null
      } finally {
        signal.removeEventListener('abort', giveUp)
      }
    },
  }
}

const tooMuch = (): DatabaseQueryError =>
  new DatabaseQueryError(
    'result_too_large',
    'config.sql gives rows that take more than 64 MiB in memory, and may write: nothing is written. Let it give fewer ' +
      'rows, less of each, or none at all; what only reads may give any number of rows with config.mode "query"',
  )

const taken = (): DatabaseQueryError =>
  new DatabaseQueryError(
    'memory_taken',
    'config.sql gives rows, and may write, for which this worker has no memory while it has those of others: it waits for ' +
      'its turn',
  )
