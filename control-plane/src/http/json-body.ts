import type { Fault } from '@esteira/workflow'
import { bodyLimit } from 'hono/body-limit'
import { createMiddleware } from 'hono/factory'
import { ControlPlaneError } from '../errors.ts'
import { faultsOfJson } from '../faults/faults-of-json.ts'

/** 32 MiB: a CronJob with a hundred thousand items. What is more belongs behind an API or a query that pages. */
export const maxBodyBytes = 32 * 1024 * 1024

export const limitBody = bodyLimit({
  maxSize: maxBodyBytes,
  onError: () => {
    throw new ControlPlaneError('body_too_large', `A body may have ${maxBodyBytes} bytes.`)
  },
})

/** Refuses a body that is not JSON in UTF-8, or that the database would not keep as it is. */
export const checkJson = createMiddleware(async (c, next) => {
  const bytes = await c.req.arrayBuffer()
  if (bytes.byteLength > 0) {
    const type = c.req.header('content-type') ?? ''
    if (!/^application\/json *(;|$)/i.test(type)) {
      const came = type === '' ? 'no content type' : `"${type}"`
      throw new ControlPlaneError('content_type_unsupported', `Send "content-type: application/json", not ${came}.`)
    }
    const faults = faultsOfBody(bytes)
    if (faults.length > 0) {
      throw new ControlPlaneError('body_invalid', 'The body holds what cannot be kept.', { faults })
    }
  }
  await next()
})

const faultsOfBody = (bytes: ArrayBuffer): Fault[] => {
  try {
    return faultsOfJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    // A SyntaxError says where; a TypeError is the decoder's.
    const detail = cause instanceof SyntaxError ? cause.message : 'The body is not UTF-8.'
    throw new ControlPlaneError('json_invalid', detail, { cause })
  }
}
