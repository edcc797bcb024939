import { Hono } from 'hono'
import { createMiddleware } from 'hono/factory'
import { answering, type Env } from './answering.ts'
import { apiErrors } from './errors.ts'
import { failing } from './faults.ts'
import { issueToken } from './issue-token.ts'
import { listContacts } from './list-contacts.ts'
import type { StandIn } from './stand-in.ts'

/**
 * The part of the public API that is stood in for. Only requests with a good token count against the rate limit, for it
 * is an account's and the token says whose.
 */
export const createApi = (standIn: StandIn): Hono<Env> =>
  new Hono<Env>()
    .use(answering(standIn))
    .post('/auth/token', failing(standIn, 'token'), issueToken(standIn))
    .get(
      '/platform/segmentations/:id/contacts',
      failing(standIn, 'contacts'),
      authorized(standIn),
      rateLimited(standIn),
      listContacts(standIn),
    )

const authorized = ({ tokens }: StandIn) =>
  createMiddleware<Env>(async (c, next) => {
    const [, token] = /^Bearer (\S+)$/i.exec(c.req.header('authorization') ?? '') ?? []
    if (token === undefined) return c.json(apiErrors.tokenMissing, 401, challenge('invalid_request'))
    const state = tokens.check(token)
    if (state === 'expired') return c.json(apiErrors.tokenExpired, 401, challenge('expired_token'))
    if (state === 'unknown') return c.json(apiErrors.unauthorized, 401, challenge('invalid_token'))
    return next()
  })

const challenge = (error: string) => ({
  'www-authenticate': `Bearer realm="https://api.rd.services/", error="${error}"`,
})

const rateLimited = ({ rateLimit, settings }: StandIn) =>
  createMiddleware<Env>(async (c, next) => {
    const admission = rateLimit.admit(settings().rateLimitPerMinute)
    if (admission.kind === 'admitted') return next()
    return c.json(apiErrors.rateLimited, 429, { 'retry-after': String(admission.retryAfterSeconds) })
  })
