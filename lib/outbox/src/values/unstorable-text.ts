import { pointerInto } from './json-pointer.ts'

/**
 * Where a JSON value has text that Postgres refuses, as a JSON pointer (`''` is the value itself), or null if it has
 * none: `text` cannot hold NUL, and neither `jsonb` nor what takes `json` apart reads that or half of a surrogate pair.
 */
export const unstorableText = (value: unknown): string | null => {
  if (typeof value === 'string') return isStorable(value) ? null : ''
  if (typeof value !== 'object' || value === null) return null
  for (const [key, member] of Object.entries(value)) {
    const place = isStorable(key) ? unstorableText(member) : ''
    if (place !== null) return pointerInto(key, place)
  }
  return null
}

const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()
