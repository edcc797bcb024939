/** Why a value is no JSON: a function in it, or a number that JSON has not, would become something else unnoticed. */
export const whyNotJson = (value: unknown): string | undefined => {
  const found = foreignIn(value)
  if (found === undefined) return undefined
  return `it must give JSON, but gives ${found}${foreign(value) === undefined ? ' within it' : ''}`
}

const foreignIn = (value: unknown): string | undefined => {
  const found = foreign(value)
  if (found !== undefined) return found
  for (const part of partsOf(value)) {
    const within = foreignIn(part)
    if (within !== undefined) return within
  }
  return undefined
}

const foreign = (value: unknown): string | undefined => {
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : String(value)
  return isFunction(value) ? 'a function' : undefined
}

/** The library makes functions of its own objects that have one of JavaScript's among their members. */
const isFunction = (value: unknown): boolean =>
  typeof value === 'function' || (!Array.isArray(value) && partsOf(value).some((part) => typeof part === 'function'))

/** A list of the library may have functions beside its items. */
const partsOf = (value: unknown): unknown[] => {
  if (Array.isArray(value)) return value
  return typeof value === 'object' && value !== null ? Object.values(value) : []
}
