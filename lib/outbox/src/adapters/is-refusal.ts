/**
 * Whether Postgres refused a statement with this code, and for this column if one is given. Some libraries put an error of
 * their own around the one that came from it.
 */
export const isRefusal = (error: unknown, code: string, column?: string): boolean =>
  error instanceof Error &&
  ((isMember(error, 'code', code) && (column === undefined || isMember(error, 'column', column))) ||
    isRefusal(error.cause, code, column))

const isMember = (error: Error, name: string, value: string): boolean => Reflect.get(error, name) === value
