import { setTimeout as delay } from 'node:timers/promises'
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { createMiddleware } from 'hono/factory'
import type { Outcome } from './requests.ts'
import type { StandIn } from './stand-in.ts'

/** Over HTTP every request brings its socket; `app.request()` has none. */
export type Env = { Bindings: Partial<HttpBindings>; Variables: { outcome?: Outcome } }

/** Holds every answer back for as long as is set, then counts it by how it ended. */
export const answering = ({ settings, requests, observe }: StandIn) =>
  createMiddleware<Env>(async (c, next) => {
    const { method, path } = c.req
    const began = performance.now()
    const end = requests.begin(path)
    const ended = (outcome: Outcome) => {
      end(outcome)
      observe({ kind: 'answered', method, path, outcome, ms: Math.round(performance.now() - began) })
    }
    if ((await heldBack(settings().latencyMs, c.req.raw.signal)) === 'gone') {
      ended('gone')
      return RESPONSE_ALREADY_SENT
    }
    await next()
    ended(c.get('outcome') ?? c.res.status)
    return undefined
  })

/** A stand-in that is told to be slow for minutes does not hold on to clients that gave up. */
const heldBack = async (latencyMs: number, client: AbortSignal): Promise<'waited' | 'gone'> => {
  if (latencyMs === 0) return 'waited'
  try {
    await delay(latencyMs, undefined, { signal: client })
    return 'waited'
  } catch (error) {
    if (client.aborted) return 'gone'
    throw error
  }
}
