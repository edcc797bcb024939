import { unlessTooDeep } from '../faults/too-deep.ts'
import { describeKind } from '../faults/wording.ts'
import { excerpt, mostShown } from './excerpt.ts'

/**
 * Where a path leads. JSONata would give a list of one item as that item, and an empty one as nothing, so what a step gets
 * would hang on how many came. Here a path goes on through every item of a list, and gives as many: null for one that it
 * leads nowhere in.
 */
export const follow = (value: unknown, path: readonly string[]): unknown => {
  const [name, ...rest] = path
  if (name === undefined) return value
  if (Array.isArray(value)) return value.map((item) => follow(item, path) ?? null)
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return follow(Reflect.get(value, name), rest)
}

/** As many as a line of an error bears. */
const mostTold = 8

/** The types of what paths lead to, for an error that must not show values: ` (payload.age is a string)`. */
export const describeTypes = (scope: unknown, paths: readonly (readonly string[])[]): string => {
  const names = new Map(paths.map((path) => [path.join('.'), path]))
  const types = [...names]
    .slice(0, mostTold)
    .map(([name, path]) => `${excerpt(name, mostShown)} ${kindAt(scope, path)}`)
  return types.length === 0 ? '' : ` (${types.join(', ')})`
}

const kindAt = (scope: unknown, path: readonly string[]): string =>
  unlessTooDeep(
    () => `is ${describeKind(follow(scope, path))}`,
    () => 'cannot be told: it is within too many lists',
  )
