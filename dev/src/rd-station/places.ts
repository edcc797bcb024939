/** Where the contacts of the segmentations stand, which is not where they stood at first when some have moved. */
export type Places = {
  /** Which contact stands at a place, by the place that it had at first. */
  contactAt: (place: number) => number
  /** Moves whoever stands at a place to another; those between move up. */
  move: (from: number, to: number) => void
}

/** What has moved is kept as it happened: of a hundred million contacts there is no list. */
export const createPlaces = (): Places => {
  const moves: { from: number; to: number }[] = []
  return {
    contactAt: (place) => moves.reduceRight((at, { from, to }) => placeBefore(at, from, to), place),
    move: (from, to) => {
      if (from !== to) moves.push({ from, to })
    },
  }
}

const placeBefore = (at: number, from: number, to: number): number => {
  if (at === to) return from
  if (from < to) return at >= from && at < to ? at + 1 : at
  return at > to && at <= from ? at - 1 : at
}
