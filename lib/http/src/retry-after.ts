/** A hundred years: of more digits than a number has nothing else could be told. */
const mostMs = 100 * 365 * 86_400_000

/** The wait that a `Retry-After` asks for, in milliseconds: whole seconds or an HTTP date. Anything else is undefined. */
export const retryAfterMs = (value: string | undefined, now: number): number | undefined => {
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1000, mostMs)
  // An HTTP date always ends so; without the test Date.parse would make a date of "1.5" as well.
  const date = value.endsWith('GMT') ? Date.parse(value) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
