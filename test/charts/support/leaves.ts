/** A place in values, from the root. */
export type Path = readonly string[]

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Each value that holds no other ones, with its place. */
export const leavesOf = (value: unknown, path: Path = []): { path: Path; value: unknown }[] =>
  isMap(value) && Object.keys(value).length > 0
    ? Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, [...path, key]))
    : [{ path, value }]

/** Values in which there is but this. */
export const at = (path: Path, value: unknown): object =>
  path.toReversed().reduce<object>((inner, key, index) => ({ [key]: index === 0 ? value : inner }), {})

/** Another value of the same kind. */
export const another = (value: unknown): unknown => {
  if (typeof value === 'boolean') return !value
  if (typeof value === 'number') return value + 1
  if (typeof value === 'string' || value === null) return 'another'
  return Array.isArray(value) ? ['another'] : { another: 'one' }
}
