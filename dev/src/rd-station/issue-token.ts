import type { Context } from 'hono'
import { z } from 'zod'
import type { Env } from './answering.ts'
import { apiErrors, fieldErrors } from './errors.ts'
import type { StandIn } from './stand-in.ts'

/** `POST /auth/token`: a new access token for an application's credentials and an account's refresh token. */
export const issueToken =
  ({ credentials, tokens, settings }: StandIn) =>
  async (c: Context<Env>): Promise<Response> => {
    const body = await readBody(c)
    if (body.kind === 'unsupported') return c.json(apiErrors.unsupportedBody, 415)
    if (body.kind === 'unreadable') return c.json(apiErrors.unreadableBody, 400)
    const request = tokenRequest.safeParse(body.value)
    if (!request.success) return c.json(fieldErrors(missingFields(request.error)), 400)
    const { client_id, client_secret, refresh_token } = request.data
    if (client_id !== credentials.clientId || client_secret !== credentials.clientSecret) {
      return c.json(apiErrors.wrongCredentials, 401)
    }
    if (refresh_token !== credentials.refreshToken) return c.json(apiErrors.wrongRefreshToken, 401)
    const { tokenTtlSeconds } = settings()
    return c.json({
      access_token: tokens.issue(tokenTtlSeconds),
      expires_in: tokenTtlSeconds,
      // RD Station Marketing gives back the token that was sent: it stays good until it is revoked.
      refresh_token,
    })
  }

type Body = { kind: 'read'; value: Record<string, unknown> } | { kind: 'unreadable' } | { kind: 'unsupported' }

const readBody = async (c: Context<Env>): Promise<Body> => {
  const contentType = c.req.header('content-type') ?? ''
  const text = await c.req.text()
  if (contentType.startsWith('application/x-www-form-urlencoded')) {
    return { kind: 'read', value: Object.fromEntries(new URLSearchParams(text)) }
  }
  if (!contentType.startsWith('application/json')) return { kind: 'unsupported' }
  const parsed = jsonObject.safeParse(text)
  return parsed.success ? { kind: 'read', value: parsed.data } : { kind: 'unreadable' }
}

const jsonObject = z
  .string()
  .transform((text, context) => {
    try {
      return JSON.parse(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: String(error) })
      return z.NEVER
    }
  })
  .pipe(z.record(z.string(), z.unknown()))

const tokenRequest = z.object({ client_id: z.string(), client_secret: z.string(), refresh_token: z.string() })

const missingFields = (error: z.ZodError) =>
  Object.fromEntries(
    error.issues.map(({ path }) => [
      path.join('.'),
      [{ error_type: 'CANNOT_BE_NULL', error_message: `${path.join('.')} cannot be null.` }],
    ]),
  )
