/** What a value is, for messages about one that is not what was expected. It never shows the value. */
export const nameOfKind = (value: unknown): string => {
  if (value === null) return 'null'
  try {
    return Array.isArray(value) ? 'array' : typeof value
  } catch {
    // A proxy that was revoked.
    return 'object'
  }
}
