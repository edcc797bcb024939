/** The members that hold a whole number which JavaScript rounds, by the object or list that they are in. */
export type Rounded = ReadonlyMap<unknown, ReadonlySet<string>>

/** Reads JSON that is known to be valid, and finds the whole numbers in it that are not what was written. */
export const parseNotingRounded = (text: string): { value: unknown; rounded: Rounded } => {
  const rounded = new Map<unknown, Set<string>>()
  const note = function (this: unknown, name: string, part: unknown, { source = '' }: { source?: string } = {}) {
    const isRounded = typeof part === 'number' && /^-?\d+$/.test(source) && BigInt(source) !== BigInt(part)
    if (isRounded) rounded.set(this, (rounded.get(this) ?? new Set<string>()).add(name))
    return part
  }
  return { value: JSON.parse(text, note), rounded }
}
