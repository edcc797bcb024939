/** Whether the value has a method of this name: an object, or a function with members of its own, that can be read. */
export const hasMethod = (value: unknown, name: string): boolean => {
  try {
    const mayHave = (typeof value === 'object' && value !== null) || typeof value === 'function'
    return mayHave && typeof Reflect.get(value, name) === 'function'
  } catch {
    // A proxy that was revoked.
    return false
  }
}
