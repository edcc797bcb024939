const keysOf = (kind: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${kind} ${index}`)

/** Messages of the ordered ones come in the order of their numbers, those of the free ones in any. */
export const keys: readonly string[] = [...keysOf('ordered', 1_000), ...keysOf('free', 1_000)]

/** Messages of these go where no queue is. */
export const refusedKeys: readonly string[] = keysOf('refused', 10)

export const isOrdered = (key: string): boolean => key.startsWith('ordered')

export const isRefused = (key: string): boolean => key.startsWith('refused')
