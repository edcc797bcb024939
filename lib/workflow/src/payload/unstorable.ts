import { unstorableText } from '@esteira/outbox/internal/unstorable-text'

/** The place of the first text in items of JSON that nobody can store, or null. */
export const unstorableItem = (items: readonly unknown[]): string | null => {
  // One by one: all of them may be more text than there can be in one.
  for (const [index, item] of items.entries()) {
    const place = unstorableJson(item)
    if (place !== null) return `/${index}${place}`
  }
  return null
}

/** The same in a value; what is given has been JSON before. */
export const unstorableJson = (value: unknown): string | null =>
  unstorableText(JSON.parse(JSON.stringify(value ?? null)))

/** What is wrong with the text at a place, for people. */
export const unstorableFault = (place: string): string =>
  `its text${place && ` at ${place}`} has a NUL character or half of a surrogate pair`
