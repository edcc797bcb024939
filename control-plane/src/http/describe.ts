import { z } from '@hono/zod-openapi'
import type { ControlPlaneErrorCode } from '../errors.ts'
import { ControlPlaneError } from '../errors.ts'
import { isUuid } from './pages.ts'

/** An answer in JSON, for a route's description. */
export const answerOf = <Schema extends z.ZodType>(schema: Schema, description: string) => ({
  description,
  content: { 'application/json': { schema } },
})

/** A body in JSON, for a route's description. */
export const bodyOf = <Schema extends z.ZodType>(schema: Schema, required = true) => ({
  required,
  content: { 'application/json': { schema } },
})

/** An id in an address. Whatever is no UUID is the id of nothing: `known` refuses it with the code of what is missing. */
export const idParam = z.string().openapi({ format: 'uuid' })

/** @throws ControlPlaneError with `code` when an id of an address cannot be one. */
export const known = (id: string, code: ControlPlaneErrorCode): string => {
  if (!isUuid(id)) throw new ControlPlaneError(code, `"${id}" is no id: expected a UUID.`)
  return id.toLowerCase()
}
