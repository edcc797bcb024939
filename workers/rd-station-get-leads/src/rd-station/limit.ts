import { createRateLimit, type RateLimit, type RateLimitOptions } from '@esteira/http'
import { rateWindowMs } from './throttled.ts'

/**
 * The limit of an account of which the API allows so many calls a minute, null for any number: a fifteenth is left to calls
 * that are long under way, and to whoever else uses the account.
 */
export const accountLimit = (
  account: string,
  callsAMinute: number | null,
  { db, windowMs = rateWindowMs }: Pick<RateLimitOptions, 'db'> & { windowMs?: number },
): RateLimit => {
  if (callsAMinute === null) return noLimit
  const calls = Math.max(1, callsAMinute - Math.ceil(callsAMinute / 15))
  return createRateLimit({ db, name: `rd-station ${account}`, calls, windowMs })
}

export const noLimit: RateLimit = { take: async () => ({ kind: 'now' }), slowDown: async () => {} }
