import { isTransientHere, strictObject } from '@esteira/workflow'
import { z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { ControlPlaneError, type ControlPlaneErrorCode } from '../errors.ts'

/** The one place where an error becomes an HTTP status. Codes without a status here never reach a client. */
const answers = {
  unauthorized: [401, 'A valid bearer token is needed'],
  route_unknown: [404, 'There is nothing at this address'],
  method_not_allowed: [405, 'This address does not take the method'],
  json_invalid: [400, 'The body is not JSON'],
  content_type_unsupported: [415, 'The body must be application/json'],
  body_too_large: [413, 'The body is too large'],
  body_invalid: [422, 'The body is not as expected'],
  query_invalid: [400, 'The query is not as expected'],
  cursor_invalid: [400, 'The cursor is not one of this list'],
  workflow_unknown: [404, 'There is no such workflow'],
  workflow_name_taken: [409, 'Another workflow has this name'],
  workflow_disabled: [409, 'The workflow is disabled'],
  workflow_busy: [409, 'The workflow is held locked'],
  version_required: [428, 'If-Match with the version is needed'],
  version_invalid: [400, 'If-Match is not a version'],
  version_stale: [412, 'The workflow has changed meanwhile'],
  step_unknown: [404, 'There is no such step'],
  step_in_use: [409, 'Another step points to this one'],
  first_step_missing: [409, 'The workflow has no step to start at'],
  first_step_ambiguous: [409, 'The workflow has several first steps'],
  run_unknown: [404, 'There is no such run'],
  run_over: [409, 'The run is over'],
  run_cancelled: [409, 'The run is cancelled'],
  run_busy: [409, 'The run is held locked'],
  job_has_items: [409, 'The job has given items'],
  payload_too_large: [413, 'The payload is too large'],
  idempotency_key_reused: [422, 'The key began another run'],
  job_unknown: [404, 'There is no such job'],
  job_not_failed: [409, 'The job has not failed'],
  job_of_tick: [409, 'A tick is not sent again'],
  job_over: [409, 'The job is over'],
  job_busy: [409, 'The job is being written'],
  database_unavailable: [503, 'The database does not answer'],
  internal: [500, 'Something went wrong on our side'],
} as const satisfies Partial<Record<ControlPlaneErrorCode, readonly [ContentfulStatusCode, string]>>

export type ProblemCode = keyof typeof answers

export const problemType = 'application/problem+json'

/** An RFC 9457 problem document. */
const problemSchema = strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  errors: z.array(strictObject({ pointer: z.string(), message: z.string() })).optional(),
}).openapi('Problem')

/** What may be wrong with any body. */
export const bodyProblems = ['json_invalid', 'content_type_unsupported', 'body_too_large', 'body_invalid'] as const

/** What may be wrong with any list's query. */
export const pageProblems = ['query_invalid', 'cursor_invalid'] as const

/** The problem documents that a route may answer with, for its description. */
export const problemResponses = (...codes: readonly ProblemCode[]) => {
  const always: readonly ProblemCode[] = ['unauthorized', 'database_unavailable', 'internal']
  const byStatus = Map.groupBy([...codes, ...always], (code) => answers[code][0])
  return Object.fromEntries(
    [...byStatus].map(([status, same]) => [
      status,
      { description: same.join(', '), content: { [problemType]: { schema: problemSchema } } },
    ]),
  )
}

/** The answer to whatever was thrown while a request was served. `observe` hears what a client could not have caused. */
export const answerError = (thrown: unknown, c: Context, observe: (error: unknown) => void): Response => {
  const error = asControlPlaneError(thrown)
  const code = isProblemCode(error.code) ? error.code : 'internal'
  if (code === 'internal') observe(thrown)
  const [status, title] = answers[code]
  const problem: z.infer<typeof problemSchema> = {
    type: `urn:esteira:problem:${code}`,
    title,
    status,
    code,
    detail: code === 'internal' ? 'The log of the control plane says what.' : error.message,
    ...(error.faults.length === 0 ? {} : { errors: [...error.faults] }),
  }
  return c.body(JSON.stringify(problem), status, { 'content-type': problemType, ...headersOf[code] })
}

const headersOf: Partial<Record<ProblemCode, Record<string, string>>> = {
  unauthorized: { 'www-authenticate': 'Bearer realm="esteira"' },
  database_unavailable: { 'retry-after': '1' },
}

const asControlPlaneError = (thrown: unknown): ControlPlaneError => {
  if (thrown instanceof ControlPlaneError) return thrown
  const status = thrown instanceof HTTPException ? thrown.status : undefined
  if (status === 503 || isTransientHere(thrown)) {
    return new ControlPlaneError('database_unavailable', 'Try again in a moment.', { cause: thrown })
  }
  // The router's own: a body that is missing or empty where it announced JSON.
  if (status === 400 || status === 415) {
    return new ControlPlaneError('json_invalid', 'Send a JSON body.', { cause: thrown })
  }
  return new ControlPlaneError('internal', 'internal', { cause: thrown })
}

const isProblemCode = (code: ControlPlaneErrorCode): code is ProblemCode => code in answers
