import { randomBytes } from 'node:crypto'

export type Tokens = {
  /** A new access token that is good for so many seconds. Those issued before stay good until their own end. */
  issue: (ttlSeconds: number) => string
  check: (token: string) => 'good' | 'expired' | 'unknown'
  expireAll: () => void
}

/** The access tokens that are out. They are gone when the process ends, as if all had run out. */
export const createTokens = (now: () => number): Tokens => {
  const endings = new Map<string, number>()
  return {
    issue: (ttlSeconds) => {
      forget(endings, now() - rememberedMs)
      const token = randomBytes(32).toString('base64url')
      endings.set(token, now() + ttlSeconds * 1000)
      return token
    },
    check: (token) => {
      const ending = endings.get(token)
      if (ending === undefined) return 'unknown'
      return now() < ending ? 'good' : 'expired'
    },
    expireAll: () => {
      for (const token of endings.keys()) endings.set(token, now())
    },
  }
}

/** How long an expired token is still told apart from one that never was; without an end the list would only grow. */
const rememberedMs = 3_600_000

const forget = (endings: Map<string, number>, before: number): void => {
  for (const [token, ending] of endings) if (ending < before) endings.delete(token)
}
