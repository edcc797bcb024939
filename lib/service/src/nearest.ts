import { closest } from 'fastest-levenshtein'

/** The known name that is fewest edits away from the one that was given; `known` must not be empty. */
export const nearest = (name: string, known: readonly string[]): string => closest(name, known)
