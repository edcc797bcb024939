import { readFileSync, writeFileSync } from 'node:fs'
import { z } from 'zod'

/** Writes the policy: who asked for what and what came of it, once each, without the bodies. */
export const writeAuditPolicy = (file: string): string => {
  const policy = {
    apiVersion: 'audit.k8s.io/v1',
    kind: 'Policy',
    // A watch is told when it begins, and not only at its end.
    rules: [{ level: 'Metadata' }],
  }
  writeFileSync(file, JSON.stringify(policy))
  return file
}

const eventShape = z.object({
  stage: z.enum(['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic']),
  verb: z.string(),
  requestURI: z.string(),
  user: z.object({ username: z.string() }),
  userAgent: z.string().default(''),
  objectRef: z
    .object({
      resource: z.string().default(''),
      subresource: z.string().default(''),
      namespace: z.string().default(''),
      name: z.string().default(''),
      apiGroup: z.string().default(''),
    })
    .optional(),
  responseStatus: z.object({ code: z.number().default(0) }).optional(),
})

/** One stage of one request. */
export type AuditEvent = z.infer<typeof eventShape>

/** What an API server has written of the requests of a user, or of all, oldest first. */
export const readAuditLog = (file: string, user?: string): AuditEvent[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    // The last line may still be being written.
    .slice(0, -1)
    .map((line) => eventShape.parse(JSON.parse(line)))
    .filter((event) => user === undefined || event.user.username === user)
