/** What every part of the house can look through. With some thousands more the first of them have no stack left. */
const mostExpected = 1_000

/** Whether something that calls itself for each level of a value had no stack left for it. */
export const isTooDeep = (error: unknown): boolean =>
  error instanceof RangeError && error.message === 'Maximum call stack size exceeded'

/** What is made of a value by something that calls itself for each level of it, or otherwise where that is too deep. */
export const unlessTooDeep = <T>(make: () => T, otherwise: (cause: unknown) => T): T => {
  try {
    return make()
  } catch (error) {
    if (isTooDeep(error)) return otherwise(error)
    throw error
  }
}

/** Says of a value that it is so. */
export const tooDeepText = (value: unknown): string =>
  `is nested too deeply: it has ${levelsOf(value)} levels, and ${mostExpected} are expected at most`

/** It calls itself nowhere, and looks at what is in several places, or within itself, once. */
const levelsOf = (value: unknown): number => {
  const seen = new Set<object>()
  const unseenIn = (values: readonly unknown[]): object[] =>
    values.flatMap((part) => {
      if (typeof part !== 'object' || part === null || seen.has(part)) return []
      seen.add(part)
      return [part]
    })
  let levels = 0
  for (let parts = unseenIn([value]); parts.length > 0; levels += 1) {
    parts = unseenIn(parts.flatMap((part) => Object.values(part)))
  }
  return levels
}
