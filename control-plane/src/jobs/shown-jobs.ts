import { jobStatuses } from '@esteira/workflow'
import { z } from '@hono/zod-openapi'

/**
 * The statuses that a client sees. Hidden jobs are there for nobody: they may yet be dropped, for others in their place.
 */
export const shownStatus = z.enum(jobStatuses).exclude(['hidden'])

/** What of jobs a client sees, as a condition. */
export const isShown = { status: { $ne: 'hidden' } } as const
