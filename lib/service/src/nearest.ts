import { distance } from 'fastest-levenshtein'

/**
 * The known name that is fewest edits away from the one that was given, in whatever case; of several, the one that
 * begins most alike. `known` must not be empty.
 */
export const nearest = (name: string, known: readonly string[]): string =>
  known.reduce((best, candidate) => {
    const closer = edits(name, best) - edits(name, candidate)
    const moreAlike = sameBeginning(name, candidate) - sameBeginning(name, best)
    return closer > 0 || (closer === 0 && moreAlike > 0) ? candidate : best
  })

/** How to end a message about a name that is not known. One that resembles none of the known gets no hint. */
export const didYouMean = (name: string, known: readonly string[]): string => {
  if (known.length === 0) return ''
  const hint = nearest(name, known)
  return isNear(name, hint) ? `, did you mean "${hint}"?` : ''
}

/**
 * A third of the characters may be wrong, and two where there are at least four: the slip of the finger is mostly a swap.
 * A first word that both have (`RDSTATION_`, `Database.`) is where they come from and no likeness.
 */
const isNear = (name: string, other: string): boolean => {
  const length = Math.min(name.length, other.length) - sharedFirstWord(name, other).length
  return edits(name, other) <= Math.min(length / 2, Math.max(2, length / 3))
}

const sharedFirstWord = (name: string, other: string): string => {
  const word = /^[^_.]*[_.]/.exec(name.toLowerCase())?.[0] ?? ''
  return other.toLowerCase().startsWith(word) ? word : ''
}

/**
 * Which of `names` somebody may have written for `wanted`: the same words, or two slips of the finger at most. One that
 * holds all of `wanted`, as `DATABASE_URL_2` does, was named after it on purpose.
 */
export const misspellingOf = (wanted: string, names: readonly string[]): string | undefined => {
  const others = names.filter((name) => !name.includes(wanted))
  const sameWords = others.find((name) => wordsOf(name) === wordsOf(wanted))
  if (sameWords !== undefined || others.length === 0) return sameWords
  const closest = nearest(wanted, others)
  return edits(wanted, closest) <= 2 ? closest : undefined
}

const edits = (one: string, other: string): number => distance(one.toLowerCase(), other.toLowerCase())

const sameBeginning = (one: string, other: string): number => {
  let length = 0
  while (length < one.length && one[length]?.toLowerCase() === other[length]?.toLowerCase()) length += 1
  return length
}

const wordsOf = (name: string): string =>
  name
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .toSorted()
    .join(' ')
