/** Batches that go on while the next ones are read. */
export type Overlap = {
  /** Takes a batch of so many rows that is on its way. */
  add: (rows: number, work: Promise<void>) => void
  /**
   * Waits until at most so many rows are on their way, and while `isTight`, until none is.
   *
   * @throws What one of the batches threw.
   */
  room: (rows: number, isTight?: () => boolean) => Promise<void>
  /** Waits until no batch is on its way, however they end. */
  ended: () => Promise<void>
}

export const createOverlap = (): Overlap => {
  const running = new Set<Promise<void>>()
  const state: { rows: number; failure: { error: unknown } | null } = { rows: 0, failure: null }
  const follow = async (rows: number, work: Promise<void>): Promise<void> => {
    try {
      await work
    } catch (error) {
      state.failure ??= { error }
    }
    state.rows -= rows
  }
  return {
    add: (rows, work) => {
      state.rows += rows
      const followed: Promise<void> = follow(rows, work).finally(() => running.delete(followed))
      running.add(followed)
    },
    room: async (rows, isTight = () => false) => {
      const isFull = () => state.rows > rows || (state.rows > 0 && isTight())
      while (state.failure === null && isFull()) await Promise.race(running)
      if (state.failure !== null) throw state.failure.error
    },
    ended: async () => {
      await Promise.all(running)
    },
  }
}
