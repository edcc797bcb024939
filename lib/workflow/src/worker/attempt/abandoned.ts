/** Functions that went on after their attempts had ended. `running` counts those of the name whose places others have. */
export type AbandonedEvent =
  | { kind: 'function.abandoned'; functionName: string; jobId: string; running: number }
  | { kind: 'function.stuck'; functionName: string; running: number }
  | { kind: 'worker.stuck'; functionName: string; running: number }

export type Abandoned = {
  /** Resolves when the place of a function that runs on is free for another job. It never rejects. */
  untilFree: (functionName: string, jobId: string, running: Promise<unknown>) => Promise<void>
  /** Resolves when one has waited for a place for so long that only the end of the process can help. It never rejects. */
  stuck: Promise<void>
  /** Gives all places free: the worker stops. */
  stop: () => void
}

type AbandonedOptions = {
  /** How many functions of a name may run on without a place. */
  most: number
  observe: (event: AbandonedEvent) => void
}

/**
 * So long does a function that runs on keep its place, milliseconds. The longest timeout and this together stay below the
 * half hour after which RabbitMQ takes a delivery back.
 */
const keepMs = 60_000

/**
 * So long may one that runs on wait for those before it, milliseconds. It keeps its message meanwhile, and the longest
 * timeout, the minute and this together stay below that half hour as well: else its message would go back with all
 * others in hand, and as many functions as there are places begin anew.
 */
const stuckMs = 3 * 60_000

/** Those of one function that run on without a place, and those that are to be next. */
type Loose = { count: number; waiting: Set<() => void> }

/**
 * Watches the functions that run on after a timeout, a cancel or a loss has ended their attempt; nothing but the end of
 * the process could end them. Such a function keeps its place for a minute, so that a worker whose functions hang does
 * not begin as many anew at each timeout. Then another job gets the place, and the log says so. But when as many as there
 * are places run on without one, no more are given away: twice as many as the worker was told, and never more, until one
 * of them ends. If that takes long the process is to end, which alone ends them.
 */
export const watchAbandoned = ({ most, observe }: AbandonedOptions): Abandoned => {
  /** Gives each place free that a function keeps which runs on. Those of a promise would be kept until that resolves. */
  const kept = new Set<() => void>()
  let isStopped = false
  const stuck = Promise.withResolvers<void>()
  let isStuck = false
  const byFunction = new Map<string, Loose>()

  const looseOf = (functionName: string): Loose => {
    const loose = byFunction.get(functionName) ?? { count: 0, waiting: new Set() }
    byFunction.set(functionName, loose)
    return loose
  }

  const giveUp = (functionName: string, jobId: string, ended: Promise<void>): Promise<void> => {
    const loose = looseOf(functionName)
    const given = Promise.withResolvers<void>()
    const give = (): void => {
      loose.count += 1
      observe({ kind: 'function.abandoned', functionName, jobId, running: loose.count })
      void ended.then(() => makeRoom(loose))
      given.resolve()
    }
    if (loose.count < most) {
      give()
    } else {
      if (loose.waiting.size === 0) observe({ kind: 'function.stuck', functionName, running: loose.count })
      const late = setTimeout(() => {
        if (!isStuck) observe({ kind: 'worker.stuck', functionName, running: loose.count })
        isStuck = true
        stuck.resolve()
      }, stuckMs)
      late.unref()
      loose.waiting.add(give)
      const waitNoMore = (): void => {
        clearTimeout(late)
        loose.waiting.delete(give)
      }
      void ended.then(waitNoMore)
      void given.promise.then(waitNoMore)
    }
    return given.promise
  }

  return {
    untilFree: async (functionName, jobId, running) => {
      if (isStopped) return
      const ended = running.then(nothing, nothing)
      const free = Promise.withResolvers<void>()
      kept.add(free.resolve)
      void ended.then(free.resolve)
      const timer = setTimeout(() => void giveUp(functionName, jobId, ended).then(free.resolve), keepMs)
      timer.unref()
      try {
        await free.promise
      } finally {
        clearTimeout(timer)
        kept.delete(free.resolve)
      }
    },
    stuck: stuck.promise,
    stop: () => {
      isStopped = true
      for (const free of kept) free()
    },
  }
}

/** One that ran on without a place has ended: the first that waits for it is next. */
const makeRoom = (loose: Loose): void => {
  loose.count -= 1
  const [first] = loose.waiting
  if (first === undefined) return
  loose.waiting.delete(first)
  first()
}

const nothing = (): void => {}
