import { z } from '@hono/zod-openapi'
import { ControlPlaneError } from '../errors.ts'

/** The header that says which version a change is meant for. */
export const ifMatchHeader = z.object({
  'if-match': z.string().optional().openapi({ description: 'The ETag that was read, such as "3"', example: '"3"' }),
})

/** The ETag of a version. */
export const etagOf = (version: number): string => `"${version}"`

/**
 * The version that `If-Match` names; null for `*` or without the header: whichever is there.
 *
 * @throws ControlPlaneError `version_invalid` when it is no ETag of ours.
 */
export const expectedVersion = (header: string | undefined): number | null => {
  if (header === undefined || header.trim() === '*') return null
  const version = /^\s*"(\d{1,9})"\s*$/.exec(header)?.[1]
  if (version === undefined) {
    throw new ControlPlaneError('version_invalid', `Send If-Match: "3" with the version that was read, not ${header}.`)
  }
  return Number(version)
}

/** @throws ControlPlaneError `version_required` without the header: what was not read must not be replaced. */
export const requiredVersion = (header: string | undefined): number | null => {
  if (header === undefined) {
    throw new ControlPlaneError('version_required', 'Send If-Match with the ETag of the workflow that was read.')
  }
  return expectedVersion(header)
}
