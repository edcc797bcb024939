/** The wait that a `Retry-After` asks for, in milliseconds: whole seconds or an HTTP date. Anything else is undefined. */
export const retryAfterMs = (value: string | undefined, now: number): number | undefined => {
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return Number(value) * 1000
  // An HTTP date always ends so; without the test Date.parse would make a date of "1.5" as well.
  const date = value.endsWith('GMT') ? Date.parse(value) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
