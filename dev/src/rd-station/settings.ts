import { z } from 'zod'

/** A prepared answer. It is given `times` times instead of what the API would have answered. */
const fault = z.strictObject({
  status: z.union([z.int().min(200).max(599), z.literal('reset')]),
  times: z.int().positive().default(1),
  on: z.enum(['contacts', 'token']).default('contacts'),
  retryAfter: z.union([z.int().nonnegative(), z.string()]).optional(),
  headers: z.record(z.string(), z.string()).default({}),
  body: z.json().optional(),
})

/** What can be changed while the stand-in runs. What a change does not name stays as it is. */
export const settingsChange = z
  .strictObject({
    leads: z.int().nonnegative(),
    latencyMs: z.int().nonnegative().max(600_000),
    rateLimitPerMinute: z.int().positive().nullable(),
    tokenTtlSeconds: z.int().positive(),
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
  /** Faults still to come, the next one first. */
  failNext: Fault[]
}

/** What the public API says of itself, with a thousand leads to begin with. */
export const defaultSettings: Settings = {
  leads: 1_000,
  latencyMs: 0,
  rateLimitPerMinute: 120,
  tokenTtlSeconds: 86_400,
  failNext: [],
}

/** The settings with a change made; one that is out of range throws a ZodError and changes nothing. */
export const withChange = (settings: Settings, change: SettingsChange): Settings => {
  const { leads, latencyMs, rateLimitPerMinute, tokenTtlSeconds, failNext } = settingsChange.parse(change)
  return {
    leads: leads ?? settings.leads,
    latencyMs: latencyMs ?? settings.latencyMs,
    // Null is a value here: it switches the limit off.
    rateLimitPerMinute: rateLimitPerMinute === undefined ? settings.rateLimitPerMinute : rateLimitPerMinute,
    tokenTtlSeconds: tokenTtlSeconds ?? settings.tokenTtlSeconds,
    failNext: failNext ?? settings.failNext,
  }
}
