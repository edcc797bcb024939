import { didYouMean } from '@esteira/service'
import tzdata from 'tzdata' with { type: 'json' }

/**
 * The names of the IANA database as Kubernetes knows them, its links too (`Asia/Calcutta`, `US/Pacific`, `EST`). `Factory` is
 * where no zone has been set.
 */
const names: readonly string[] = Object.keys(tzdata.zones).filter((name) => name !== 'Factory')
const known = new Set(names)
const spellings = new Map(names.map((name) => [name.toLowerCase(), name]))

/**
 * What is wrong with a time zone, or null. It must be known here and to Kubernetes, which looks for a file of that name. To
 * Node alone are known any letter case, offsets such as `+03:00`, and abbreviations, some for other zones than most people
 * would think: `BST` is Bangladesh's.
 */
export const faultOfTimeZone = (timeZone: string): string | null => {
  if (known.has(timeZone) && isKnownHere(timeZone)) return null
  const spelt = spellings.get(timeZone.toLowerCase())
  if (spelt !== undefined && spelt !== timeZone) return `"${timeZone}" is spelt "${spelt}"`
  // Whatever resembles an abbreviation is another one.
  const hint = isKnownHere(timeZone) ? '' : didYouMean(timeZone, names)
  return `"${timeZone}" is no IANA time zone${hint || ', such as "America/Sao_Paulo"'}`
}

const isKnownHere = (timeZone: string): boolean => {
  try {
    Intl.DateTimeFormat('en', { timeZone })
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}
