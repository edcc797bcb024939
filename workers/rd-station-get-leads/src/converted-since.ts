import type { Contact } from './rd-station/index.ts'

/**
 * Tells which contacts have converted at a time or later; all of them without one. Who never did has not. One whose time
 * cannot be read, or has no zone and so may be any of several, is taken: better once too often than lost.
 */
export const convertedSince = (since: string | null): ((contact: Contact) => boolean) | undefined => {
  if (since === null) return undefined
  const least = Date.parse(since)
  return ({ last_conversion_date: last }) =>
    last !== undefined && last !== null && !(typeof last === 'string' && hasZone.test(last) && Date.parse(last) < least)
}

const hasZone = /\d(Z|[+-]\d\d:?\d\d)$/i
