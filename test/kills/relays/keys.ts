/** Messages of these come in the order of their numbers, those of the others in any. */
export const keys: readonly string[] = [
  ...Array.from({ length: 1_000 }, (_, index) => `ordered ${index}`),
  ...Array.from({ length: 1_000 }, (_, index) => `free ${index}`),
]

export const isOrdered = (key: string): boolean => key.startsWith('ordered')
