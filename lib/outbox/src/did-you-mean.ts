/** How to end a message about a name that is not known: with the known one that is two slips away at most, if any is. */
export const didYouMean = (name: string, known: readonly string[]): string => {
  const near = known
    .map((candidate) => ({ candidate, slips: slips(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter((hint) => hint.slips <= 2)
    .toSorted((one, other) => one.slips - other.slips)
  return near[0] === undefined ? '' : `, did you mean "${near[0].candidate}"?`
}

/** How many characters are to be added, left out or changed to get from one text to the other (Levenshtein). */
const slips = (one: string, other: string): number => {
  let above = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (const [row, letter] of Array.from(one).entries()) {
    const line = [row + 1]
    for (const [column, otherLetter] of Array.from(other).entries()) {
      const changed = (above[column] ?? 0) + (letter === otherLetter ? 0 : 1)
      line.push(Math.min(changed, (above[column + 1] ?? 0) + 1, (line[column] ?? 0) + 1))
    }
    above = line
  }
  return above.at(-1) ?? 0
}
