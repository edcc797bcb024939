/** Where libraries keep the error that came from Postgres: it is the cause of their own, and Prisma has it in a `meta`. */
const places = ['cause', 'meta', 'driverAdapterError']

/** What the code is called by all, and by the adapters of Prisma 7, which for some errors have no other member for it. */
const codes = ['code', 'originalCode']

/** What the column is called by pg, and by postgres.js. */
const names = ['column', 'column_name']

/**
 * Whether Postgres refused a statement with this code, and for this column if one is given. Some libraries put an error of
 * their own around the one that came from it.
 */
export const isRefusal = (error: unknown, code: string, column?: string): boolean =>
  typeof error === 'object' &&
  error !== null &&
  ((codes.some((name) => isMember(error, name, code)) && (column === undefined || isFor(error, column))) ||
    places.some((place) => isRefusal(Reflect.get(error, place), code, column)))

/** Prisma's adapters leave the column out. Postgres' message has it as it is, in whatever language. */
const isFor = (error: object, column: string): boolean => {
  if (names.some((name) => isMember(error, name, column))) return true
  const message: unknown = Reflect.get(error, 'originalMessage')
  return typeof message === 'string' && message.split(/\W+/).includes(column)
}

const isMember = (error: object, name: string, value: string): boolean => Reflect.get(error, name) === value
