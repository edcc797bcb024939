/** Batches that go on while the next ones are read. */
export type Overlap = {
  /** Takes a batch of so many rows, which is on its way until the work ends, less those that `leave` it before. */
  add: (rows: number, work: (leave: (rows: number) => void) => Promise<void>) => void
  /**
   * Waits until at most so many rows are on their way, and while `isTight`, until none is.
   *
   * @throws What one of the batches threw.
   */
  room: (rows: number, isTight?: () => boolean) => Promise<void>
  /**
   * Waits until none is on its way, for at most so many milliseconds, and says whether it came to that.
   *
   * @throws What one of the batches threw.
   */
  endsWithin: (ms: number) => Promise<boolean>
  /** Whether one has been on its way for so many milliseconds. */
  isLate: (ms: number) => boolean
  /** Waits until no batch is on its way, however they end. */
  ended: () => Promise<void>
}

export const createOverlap = (): Overlap => {
  /** Each with when it began, the first one first. */
  const running = new Map<Promise<void>, number>()
  const state: { rows: number; failure: { error: unknown } | null } = { rows: 0, failure: null }
  let change = Promise.withResolvers<void>()
  const tellChange = () => {
    change.resolve()
    change = Promise.withResolvers()
  }
  const follow = async (rows: number, work: Parameters<Overlap['add']>[1]): Promise<void> => {
    let left = rows
    const leave = (some: number) => {
      left -= some
      state.rows -= some
      tellChange()
    }
    try {
      await work(leave)
    } catch (error) {
      state.failure ??= { error }
    }
    leave(left)
  }
  const expectNoFailure = () => {
    if (state.failure !== null) throw state.failure.error
  }
  return {
    add: (rows, work) => {
      state.rows += rows
      const followed: Promise<void> = follow(rows, work).finally(() => running.delete(followed))
      running.set(followed, performance.now())
    },
    room: async (rows, isTight = () => false) => {
      const isFull = () => state.rows > rows || (state.rows > 0 && isTight())
      while (state.failure === null && isFull()) await change.promise
      expectNoFailure()
    },
    endsWithin: async (ms) => {
      const wait = { isOver: false }
      const timer = setTimeout(() => {
        wait.isOver = true
        tellChange()
      }, ms)
      while (state.failure === null && state.rows > 0 && !wait.isOver) await change.promise
      clearTimeout(timer)
      expectNoFailure()
      return state.rows === 0
    },
    isLate: (ms) => {
      const [firstMs = Infinity] = running.values()
      return performance.now() - firstMs >= ms
    },
    ended: async () => {
      while (running.size > 0) await Promise.all(running.keys())
    },
  }
}
