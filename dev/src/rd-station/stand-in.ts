import { createPlaces, type Places } from './places.ts'
import { createRequests, type Outcome, type RequestCounts, type Requests } from './requests.ts'
import { createRateLimit, type RateLimit } from './rate-limit.ts'
import { defaultSettings, withChange, type Fault, type Settings, type SettingsChange } from './settings.ts'
import { createTokens, type Tokens } from './tokens.ts'

/** What an application got from RD Station to read an account. */
export type Credentials = { clientId: string; clientSecret: string; refreshToken: string }

export type RdStationOptions = SettingsChange & {
  /** Other seeds give other contacts; the same seed always gives the same ones. */
  seed?: string
  /** Ids of the segmentations that exist. Each holds `leads` contacts of its own. */
  segmentationIds?: readonly number[]
  credentials?: Credentials
  /** Milliseconds since 1970; a test passes a clock of its own to see tokens and windows end. */
  now?: () => number
  observe?: (event: RdStationEvent) => void
}

export type RdStationEvent =
  | { kind: 'answered'; method: string; path: string; outcome: Outcome; ms: number }
  | { kind: 'failed'; method: string; path: string; error: Error }

/** The stand-in's own switches, the same over HTTP under `/_control` and in the process that started it. */
export type RdStationControl = {
  /** @throws ZodError if a value is out of its range. */
  set: (change: SettingsChange) => void
  state: () => Settings & RequestCounts
  /** Every access token that is out runs out now. */
  expireTokens: () => void
}

export type StandIn = {
  credentials: Credentials
  seed: string
  segmentationIds: readonly number[]
  tokens: Tokens
  rateLimit: RateLimit
  control: RdStationControl
  settings: () => Settings
  /** The next fault prepared for an endpoint, once less often from then on. */
  takeFault: (endpoint: Fault['on']) => Fault | undefined
  places: Places
  /** Counts a page of contacts, and moves one of them if it is time to. */
  shuffle: () => void
  requests: Requests
  observe: (event: RdStationEvent) => void
}

export const createStandIn = (options: RdStationOptions = {}): StandIn => {
  const { seed, segmentationIds, credentials, now = Date.now, observe, ...begin } = options
  let settings = withChange(defaultSettings, begin)
  const requests = createRequests()
  const tokens = createTokens(now)
  const places = createPlaces()
  let pages = 0
  let moved = 0
  return {
    credentials: credentials ?? defaultCredentials,
    seed: seed ?? 'esteira',
    segmentationIds: segmentationIds ?? [1, 2, 3],
    tokens,
    rateLimit: createRateLimit(now),
    control: {
      set: (change) => {
        settings = withChange(settings, change)
      },
      state: () => ({ ...settings, ...requests.counts() }),
      expireTokens: tokens.expireAll,
    },
    settings: () => settings,
    takeFault: (endpoint) => {
      const fault = settings.failNext.find(({ on }) => on === endpoint)
      if (fault === undefined) return undefined
      const failNext = settings.failNext
        .map((each) => (each === fault ? { ...fault, times: fault.times - 1 } : each))
        .filter(({ times }) => times > 0)
      settings = { ...settings, failNext }
      return fault
    },
    places,
    shuffle: () => {
      const { leads, shuffle } = settings
      if (shuffle === null || leads === 0) return
      pages += 1
      if (pages % shuffle.everyPages > 0 || moved === shuffle.times) return
      moved += 1
      // Spread over all places, and the same every time.
      const from = (pages * 7_919) % leads
      const by = moved % 2 === 0 ? shuffle.places : -shuffle.places
      places.move(from, Math.max(0, Math.min(leads - 1, from + by)))
    },
    requests,
    observe: observe ?? (() => {}),
  }
}

/** Known to everybody: they only ever open the stand-in. */
export const defaultCredentials: Credentials = {
  clientId: 'stand-in-client-id',
  clientSecret: 'stand-in-client-secret',
  refreshToken: 'stand-in-refresh-token',
}
