import { DatabaseQueryError } from './errors.ts'

/** What the rows of one transaction may take in memory, bytes: they are there until it has committed. */
const mostBytes = 64 * 1024 * 1024

/** What those of any other transaction may take beside them. */
const usualBytes = 4 * 1024 * 1024

/** What a row, and each value in it, take in memory beside the text of the values, about. */
const [bytesOfRow, bytesOfValue] = [64, 40]

/** The memory that a process has for the rows of statements that may write. */
export type ResultMemory = { open: () => ResultShare }

/** What one transaction has of it, until it is closed. */
export type ResultShare = {
  /**
   * Counts a row that is kept.
   *
   * @throws DatabaseQueryError `result_too_large`, or `memory_taken` where it would do at another time.
   */
  keep: (row: { bytes: number; values: number }) => void
  /**
   * Makes room for rows that have so many bytes as JSON, and were counted when they were given first.
   *
   * @throws DatabaseQueryError `memory_taken`
   */
  makeRoom: (bytes: number) => void
  close: () => void
}

/**
 * Memory in which one transaction at a time has much, and all others have little. One that would need much beside
 * another is given up, and waits for its turn outside of the database. If it waited as it is, it would do so with its
 * locks, and the one that has the memory may be waiting for those.
 */
export const createResultMemory = (): ResultMemory => {
  let largest: ResultShare | null = null
  return {
    open: () => {
      let kept = 0
      const makeRoom = (bytes: number): void => {
        if (bytes > usualBytes && (largest ??= share) !== share) throw taken()
      }
      const share: ResultShare = {
        keep: ({ bytes, values }) => {
          kept += bytes + bytesOfRow + values * bytesOfValue
          if (kept > mostBytes) throw tooMuch()
          makeRoom(kept)
        },
        makeRoom,
        close: () => {
          if (largest === share) largest = null
        },
      }
      return share
    },
  }
}

const tooMuch = (): DatabaseQueryError =>
  new DatabaseQueryError(
    'result_too_large',
    'config.sql gives more than 64 MiB, and may write: nothing is written. Let it give fewer rows, less of each, or none ' +
      'at all; what only reads may give any number of rows with config.mode "query"',
  )

const taken = (): DatabaseQueryError =>
  new DatabaseQueryError(
    'memory_taken',
    'config.sql gives more than 4 MiB, and may write, while another job of this worker does: it waits for its turn',
  )
