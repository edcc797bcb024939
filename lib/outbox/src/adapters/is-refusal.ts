/** Where libraries keep the error that came from Postgres: it is the cause of their own, and Prisma has it in a `meta`. */
const places = ['cause', 'meta', 'driverAdapterError']

/** What the code is called by all, and by the adapters of Prisma 7, which for some errors have no other member for it. */
const codes = ['code', 'originalCode']

/** What the column or the constraint is called by pg, and by postgres.js. */
const names = ['column', 'column_name', 'constraint', 'constraint_name']

/** Where the message of Postgres is, in the errors of Prisma 7 and of Prisma 6, in the order in which it is looked for. */
const messages = ['originalMessage', 'message']

/**
 * Whether Postgres refused a statement with this code, and for the column or the constraint of this name if one is given.
 * Some libraries put an error of their own around the one that came from it.
 */
export const isRefusal = (error: unknown, code: string, name?: string): boolean =>
  refusalIn(error, code, (refusal) => name === undefined || isFor(refusal, name)) !== null

/**
 * What Postgres said when it refused a statement with this code, in its language, and which of its routines did, if the
 * library tells; null for any other error.
 */
export const refusalOf = (error: unknown, code: string): { words: string; routine: string | null } | null => {
  const refusal = refusalIn(error, code, () => true)
  if (refusal === null) return null
  return { words: textsOf(refusal, messages)[0] ?? '', routine: textsOf(refusal, ['routine'])[0] ?? null }
}

const refusalIn = (error: unknown, code: string, isMeant: (refusal: object) => boolean): object | null => {
  if (typeof error !== 'object' || error === null) return null
  if (codes.some((member) => Reflect.get(error, member) === code) && isMeant(error)) return error
  for (const place of places) {
    const refusal = refusalIn(Reflect.get(error, place), code, isMeant)
    if (refusal !== null) return refusal
  }
  return null
}

/**
 * Prisma leaves the name out. Postgres' message has it as it is, in whatever language; that of a library which has both
 * may also have the statement.
 */
const isFor = (error: object, name: string): boolean => {
  const given = textsOf(error, names)
  if (given.length > 0) return given.includes(name)
  return textsOf(error, messages).some((message) => message.split(/\W+/).includes(name))
}

const textsOf = (error: object, members: readonly string[]): string[] =>
  members.map((member): unknown => Reflect.get(error, member)).filter((member) => typeof member === 'string')
