import { z } from 'zod'

/** A prepared answer. It is given `times` times instead of what the API would have answered. */
const fault = z.strictObject({
  status: z.union([z.int().min(200).max(599), z.literal('reset')]),
  times: z.int().positive().default(1),
  on: z.enum(['contacts', 'token']).default('contacts'),
  retryAfter: z.union([z.int().nonnegative(), z.string()]).optional(),
  headers: z.record(z.string(), z.string()).default({}),
  body: z.json().optional(),
  /** How the body becomes bytes, whatever the headers say of it. */
  encoding: z.enum(['utf8', 'latin1']).default('utf8'),
})

/** How contacts move: a page at a time, by so many places, and so often in all. */
const moving = z.strictObject({
  everyPages: z.int().positive(),
  places: z.int().positive(),
  times: z.int().positive().optional(),
})

/** What can be changed while the stand-in runs. What a change does not name stays as it is. */
export const settingsChange = z
  .strictObject({
    leads: z.int().nonnegative(),
    latencyMs: z.int().nonnegative().max(600_000),
    rateLimitPerMinute: z.int().positive().nullable(),
    tokenTtlSeconds: z.int().positive(),
    shuffle: moving.nullable(),
    totalsAdd: z.int(),
    failNext: z.array(fault),
  })
  .partial()

export type Fault = z.output<typeof fault>
export type SettingsChange = z.input<typeof settingsChange>

export type Settings = {
  /** Contacts that every segmentation holds. */
  leads: number
  /** How long every answer of the API is held back. */
  latencyMs: number
  /** Requests to `/platform` in one window; null is no limit. */
  rateLimitPerMinute: number | null
  /** How long the access tokens issued from now on are good for. */
  tokenTtlSeconds: number
  /** Behind every so many pages a contact moves by so many places, up and down in turn; null leaves all where they are. */
  shuffle: z.output<typeof moving> | null
  /** By how much the total that is told is wrong. */
  totalsAdd: number
  /** Faults still to come, the next one first. */
  failNext: Fault[]
}

/** What the public API says of itself, with a thousand leads to begin with. */
export const defaultSettings: Settings = {
  leads: 1_000,
  latencyMs: 0,
  rateLimitPerMinute: 120,
  tokenTtlSeconds: 86_400,
  shuffle: null,
  totalsAdd: 0,
  failNext: [],
}

/** The settings with a change made; one that is out of range throws a ZodError and changes nothing. */
export const withChange = (settings: Settings, change: SettingsChange): Settings => {
  const parsed = settingsChange.parse(change)
  const { leads, latencyMs, rateLimitPerMinute, tokenTtlSeconds, shuffle, totalsAdd, failNext } = parsed
  return {
    leads: leads ?? settings.leads,
    latencyMs: latencyMs ?? settings.latencyMs,
    // Null is a value in these: it switches the limit, or the moving, off.
    rateLimitPerMinute: rateLimitPerMinute === undefined ? settings.rateLimitPerMinute : rateLimitPerMinute,
    tokenTtlSeconds: tokenTtlSeconds ?? settings.tokenTtlSeconds,
    shuffle: shuffle === undefined ? settings.shuffle : shuffle,
    totalsAdd: totalsAdd ?? settings.totalsAdd,
    failNext: failNext ?? settings.failNext,
  }
}
