/** The middle of the values; of an even number of them the mean of the two in the middle. */
export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  if (upper === undefined || lower === undefined) throw new RangeError('no median of no values')
  return (lower + upper) / 2
}

/** The smallest of the values that `share` (0 to 1) of them do not exceed: the nearest rank, never a value in between. */
export const percentile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
  if (value === undefined) throw new RangeError(`no percentile ${share} of ${values.length} values`)
  return value
}

/**
 * How many times the control ours is: the median over rounds of the one to the other. Both of a round are measured one
 * after the other, so what slows the machine down for a minute slows both.
 */
export const ratioByRound = (ours: readonly number[], control: readonly number[]): number => {
  if (ours.length !== control.length)
    throw new RangeError(`${ours.length} rounds of ours, ${control.length} of the control`)
  return median(ours.map((value, index) => value / (control[index] ?? Number.NaN)))
}

/** To so many digits behind the point. */
export const round = (value: number, digits = 0): number => Number(value.toFixed(digits))
