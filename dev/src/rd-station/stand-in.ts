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
  requests: Requests
  observe: (event: RdStationEvent) => void
}

export const createStandIn = (options: RdStationOptions = {}): StandIn => {
  const { seed, segmentationIds, credentials, now = Date.now, observe, ...begin } = options
  let settings = withChange(defaultSettings, begin)
  const requests = createRequests()
  const tokens = createTokens(now)
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
