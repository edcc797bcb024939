/** Where libraries keep the error that came from Postgres: it is the cause of their own, and Prisma has it in a `meta`. */
const places = ['cause', 'meta', 'driverAdapterError']

/** What the column is called by pg, and by postgres.js. */
const names = ['column', 'column_name']

/**
 * Whether Postgres refused a statement with this code, and for this column if one is given. Some libraries put an error of
 * their own around the one that came from it.
 */
export const isRefusal = (error: unknown, code: string, column?: string): boolean =>
  typeof error === 'object' &&
  error !== null &&
  ((isMember(error, 'code', code) && (column === undefined || names.some((name) => isMember(error, name, column)))) ||
    places.some((place) => isRefusal(Reflect.get(error, place), code, column)))

const isMember = (error: object, name: string, value: string): boolean => Reflect.get(error, name) === value
