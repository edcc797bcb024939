import { createHash, timingSafeEqual } from 'node:crypto'
import { createMiddleware } from 'hono/factory'
import { ControlPlaneError } from '../errors.ts'

/** Lets a request through that brings the token. Digests are compared, in constant time: they also have one length. */
export const bearerToken = (token: string) => {
  const expected = digest(token)
  return createMiddleware(async (c, next) => {
    const given = /^Bearer +(\S+) *$/i.exec(c.req.header('authorization') ?? '')?.[1]
    if (given === undefined) throw new ControlPlaneError('unauthorized', 'Send "Authorization: Bearer <token>".')
    if (!timingSafeEqual(digest(given), expected))
      throw new ControlPlaneError('unauthorized', 'The token is not valid.')
    await next()
  })
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
