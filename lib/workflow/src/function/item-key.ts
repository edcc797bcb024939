import { WorkflowError } from '../errors.ts'

/**
 * What tells items apart: a member of each.
 *
 * @throws WorkflowError `output_invalid` for an item that has no text and no number there.
 */
export const keysOf = (items: readonly unknown[], itemKey: string): string[] =>
  items.map((item) => {
    const key = typeof item === 'object' && item !== null ? Reflect.get(item, itemKey) : undefined
    if (typeof key === 'string' || typeof key === 'number') return String(key)
    throw new WorkflowError(
      'output_invalid',
      `an item has no text or number as "${itemKey}", which tells it from others`,
    )
  })

/** The first item with each key, of those whose key is one of `keys`, which it is taken from. */
export const firstOfEach = <Item>(items: readonly Item[], keys: readonly string[], fresh: Set<string>): Item[] =>
  items.filter((_, index) => fresh.delete(keys[index] ?? ''))
