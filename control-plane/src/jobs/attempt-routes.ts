import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { attemptOutcomes, strictObject, WorkflowAttempt, WorkflowJob } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { ControlPlaneError } from '../errors.ts'
import type { ApiContext } from '../http/api-context.ts'
import { answerOf, idParam, known } from '../http/describe.ts'
import { type PageRequest, pageOf, pageQuery, pageRequest, pageSchema } from '../http/pages.ts'
import { pageProblems, problemResponses } from '../http/problems.ts'
import { isShown } from './shown-jobs.ts'

const attemptDocument = strictObject({
  attempt: z.int().openapi({ description: 'Its number, from 1; what was put off has that of the attempt after it' }),
  outcome: z.enum(attemptOutcomes),
  times: z.int().openapi({
    description: 'How many it stands for: a job put off, or lost with its workers, several times in a row is one item',
  }),
  error: strictObject({ code: z.string(), message: z.string() }).nullable(),
  worker: z.string(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime(),
}).openapi('Attempt')

const listRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}/attempts',
  tags: ['jobs'],
  summary: 'Lists the attempts at a job that did not succeed, the newest first',
  request: { params: z.object({ id: idParam }), query: strictObject(pageQuery) },
  responses: {
    200: answerOf(pageSchema(attemptDocument), 'A page of attempts'),
    ...problemResponses('job_unknown', ...pageProblems),
  },
})

/** `/v1/jobs/{id}/attempts`. */
export const attemptRoutes = ({ orm }: ApiContext): OpenAPIHono => {
  const app = new OpenAPIHono()

  app.openapi(listRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'job_unknown')
    const page = pageRequest('attempts', c.req.valid('query'), isKey)
    const em = orm.em.fork()
    if ((await em.count(WorkflowJob, { id, ...isShown })) === 0)
      throw new ControlPlaneError('job_unknown', `There is no job ${id}.`)
    const attempts = await listAttempts(em, id, page)
    return c.json(pageOf('attempts', page.limit, attempts, keyOf, attemptDocumentOf), 200)
  })

  return app
}

/** What was lost under a message came before the attempt that ended under it. */
const keyOf = ({ seq, lost }: WorkflowAttempt): string => `${seq}${lost ? lostMark : ''}`

const lostMark = ' lost'

const isKey = (key: string): boolean => /^[1-9]\d{0,8}( lost)?$/.test(key)

/** Reads one more than a page holds. */
const listAttempts = (em: EntityManager, jobId: string, page: PageRequest): Promise<WorkflowAttempt[]> =>
  em.find(
    WorkflowAttempt,
    { jobId, ...(page.after === undefined ? {} : olderThan(page.after)) },
    { orderBy: { seq: 'desc', lost: 'asc' }, limit: page.limit + 1 },
  )

const olderThan = (key: string) => {
  const seq = Number.parseInt(key)
  const older = { seq: { $lt: seq } }
  return key.endsWith(lostMark) ? older : { $or: [older, { seq, lost: true }] }
}

const attemptDocumentOf = (row: WorkflowAttempt): z.output<typeof attemptDocument> => ({
  attempt: row.attempt,
  outcome: row.outcome,
  times: row.times,
  error: row.error ?? null,
  worker: row.worker,
  startedAt: row.startedAt.toISOString(),
  endedAt: row.endedAt.toISOString(),
})
