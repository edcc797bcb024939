import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { createMiddleware } from 'hono/factory'
import type { Env } from './answering.ts'
import { apiErrors } from './errors.ts'
import type { Fault } from './settings.ts'
import type { StandIn } from './stand-in.ts'

/** Gives the next fault prepared for an endpoint, before the API itself has looked at the request. */
export const failing = ({ takeFault }: StandIn, endpoint: Fault['on']) =>
  createMiddleware<Env>(async (c, next) => {
    const fault = takeFault(endpoint)
    if (fault === undefined) return next()
    if (fault.status !== 'reset') return faultResponse(fault, fault.status)
    const { incoming } = c.env ?? {}
    if (incoming === undefined) throw new Error('a reset needs a real connection, app.request() has none')
    c.set('outcome', 'reset')
    incoming.socket.resetAndDestroy()
    return RESPONSE_ALREADY_SENT
  })

const faultResponse = ({ headers, retryAfter, body, encoding }: Fault, status: number): Response =>
  new Response(withoutBody.has(status) ? null : Buffer.from(bodyText(body ?? bodyFor(status)), encoding), {
    status,
    headers: {
      'content-type': 'application/json',
      ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
      ...headers,
    },
  })

/** HTTP allows these no body. */
const withoutBody = new Set([204, 205, 304])

/** Text goes out as it is, so that it can be broken JSON or HTML. */
const bodyText = (body: Fault['body']): string => (typeof body === 'string' ? body : JSON.stringify(body))

const bodyFor = (status: number) => {
  if (status === 401) return apiErrors.unauthorized
  if (status === 404) return apiErrors.notFound
  if (status === 429) return apiErrors.rateLimited
  return apiErrors.unavailable
}
