const keysOf = (kind: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${kind} ${index}`)

/** Where messages of a key go: to a queue that is there, to one that comes late, or to one that is full for long. */
export const queues = { here: 'kills', late: 'kills-late', full: 'kills-full' } as const

/** Where messages stray: nothing is bound to that until somebody mends it. */
export const astray = { exchange: 'amq.direct', routingKey: 'astray' } as const

/**
 * Messages of the ordered ones come in the order of their numbers, those of the free ones in any. Some of the astray ones
 * go where no queue is for long: they are parked, and hold back their key.
 */
export const keys: readonly string[] = [
  ...keysOf('ordered', 1_000),
  ...keysOf('free', 1_000),
  ...keysOf('ordered, astray', 30),
  ...['ordered', 'free'].flatMap((kind) => ['late', 'full'].flatMap((where) => keysOf(`${kind}, ${where}`, 15))),
]

/** Messages of these go where no queue is. */
export const refusedKeys: readonly string[] = keysOf('refused', 10)

export const isOrdered = (key: string): boolean => key.startsWith('ordered')

export const isRefused = (key: string): boolean => key.startsWith('refused')

export const isAstray = (key: string): boolean => key.includes('astray')

export const queueOf = (key: string): string => {
  if (key.includes('late')) return queues.late
  return key.includes('full') ? queues.full : queues.here
}
