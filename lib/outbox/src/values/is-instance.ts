/** Whether the value is of this class. What cannot even be asked for that, as a proxy that was revoked, is of none. */
export const isInstance = <T>(value: unknown, of: abstract new (...given: never[]) => T): value is T => {
  try {
    return value instanceof of
  } catch {
    return false
  }
}
