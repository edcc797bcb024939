import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { strictObject, WorkflowJob } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import { ControlPlaneError } from '../errors.ts'
import type { ApiContext } from '../http/api-context.ts'
import { answerOf, bodyOf, idParam, known } from '../http/describe.ts'
import { isUuid, type PageRequest, pageOf, pageQuery, pageRequest, pageSchema, uuidInput } from '../http/pages.ts'
import { bodyProblems, pageProblems, problemResponses } from '../http/problems.ts'
import { tellRequest } from '../http/trace-requests.ts'
import { cancelJobNow } from './cancel-job.ts'
import { retryJob } from './retry-job.ts'
import { isShown, shownStatus } from './shown-jobs.ts'

const jobDocument = strictObject({
  id: z.uuid(),
  runId: z.uuid(),
  stepId: z.uuid(),
  parentId: z.uuid().nullable(),
  itemIndex: z.int().nullable(),
  status: shownStatus,
  seq: z.int(),
  attempt: z.int(),
  revision: z.int().openapi({ description: 'How often it was sent again by hand' }),
  payload: z.unknown(),
  output: z.unknown(),
  error: strictObject({ code: z.string(), message: z.string() }).nullable(),
  runAfter: z.iso.datetime().nullable(),
  emitted: z.int().openapi({ description: 'How many jobs of the next step it has brought about so far' }),
  worker: z.string().nullable(),
  traceparent: z.string(),
  createdAt: z.iso.datetime(),
  enqueuedAt: z.iso.datetime().nullable(),
  startedAt: z.iso.datetime().nullable(),
  finishedAt: z.iso.datetime().nullable(),
}).openapi('Job')

const jobFilter = {
  runId: uuidInput.optional(),
  stepId: uuidInput.optional(),
  status: shownStatus.optional(),
}

const listRoute = createRoute({
  method: 'get',
  path: '/v1/jobs',
  tags: ['jobs'],
  summary: 'Lists jobs, the newest first',
  request: { query: strictObject({ ...jobFilter, ...pageQuery }) },
  responses: {
    200: answerOf(pageSchema(jobDocument), 'A page of jobs'),
    ...problemResponses(...pageProblems),
  },
})

const readRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}',
  tags: ['jobs'],
  summary: 'Reads a job',
  request: { params: z.object({ id: idParam }) },
  responses: { 200: answerOf(jobDocument, 'The job'), ...problemResponses('job_unknown') },
})

const retryInput = strictObject({
  payload: z.unknown().optional().openapi({ description: 'In place of the one that the job has' }),
}).openapi('JobRetry')

const retryRoute = createRoute({
  method: 'post',
  path: '/v1/jobs/{id}/retry',
  tags: ['jobs'],
  summary: 'Sends a failed job again; its run is open until it has ended',
  request: { params: z.object({ id: idParam }), body: bodyOf(retryInput, false) },
  responses: {
    200: answerOf(jobDocument, 'The job, on its way'),
    ...problemResponses(
      ...bodyProblems,
      'job_unknown',
      'job_not_failed',
      'job_of_tick',
      'run_cancelled',
      'run_busy',
      'job_has_items',
      'payload_too_large',
    ),
  },
})

const cancelRoute = createRoute({
  method: 'post',
  path: '/v1/jobs/{id}/cancel',
  tags: ['jobs'],
  summary: 'Cancels a job; one that is cancelled stays so',
  description:
    'A function that runs is told to end, and what it gives then is not written. Its run goes on without it.',
  request: { params: z.object({ id: idParam }) },
  responses: {
    200: answerOf(jobDocument, 'The job, `cancelled`'),
    ...problemResponses('job_unknown', 'job_over', 'job_busy'),
  },
})

/** `/v1/jobs`, `/v1/jobs/{id}` and what can be done with one. */
export const jobRoutes = ({ orm, lane, maxPayloadBytes }: ApiContext): OpenAPIHono => {
  const app = new OpenAPIHono()

  app.openapi(listRoute, async (c) => {
    const { limit, cursor, ...filter } = c.req.valid('query')
    const page = pageRequest('jobs', { limit, cursor }, isUuid)
    const jobs = await listJobs(orm.em.fork(), filter, page)
    return c.json(
      pageOf('jobs', page.limit, jobs, (job) => job.id, jobDocumentOf),
      200,
    )
  })

  app.openapi(readRoute, async (c) => {
    return c.json(await readJob(orm.em.fork(), known(c.req.valid('param').id, 'job_unknown')), 200)
  })

  app.openapi(retryRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'job_unknown')
    tellRequest({ 'esteira.job.id': id })
    await retryJob(orm.em.fork(), id, c.req.valid('json'), { lane, maxPayloadBytes })
    return c.json(await readJob(orm.em.fork(), id), 200)
  })

  app.openapi(cancelRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'job_unknown')
    tellRequest({ 'esteira.job.id': id })
    await cancelJobNow(orm.em.fork(), id)
    return c.json(await readJob(orm.em.fork(), id), 200)
  })

  return app
}

/** @throws ControlPlaneError `job_unknown`. */
const readJob = async (em: EntityManager, id: string): Promise<z.output<typeof jobDocument>> => {
  const job = await em.findOne(WorkflowJob, { id, ...isShown })
  if (job === null) throw new ControlPlaneError('job_unknown', `There is no job ${id}.`)
  return jobDocumentOf(job)
}

type JobFilter = z.output<z.ZodObject<typeof jobFilter>>

/** Reads one more job than a page holds. Ids sort by time, so the newest come first. */
const listJobs = (em: EntityManager, { runId, stepId, status }: JobFilter, page: PageRequest): Promise<WorkflowJob[]> =>
  em.find(
    WorkflowJob,
    {
      ...(runId === undefined ? {} : { runId }),
      ...(stepId === undefined ? {} : { stepId }),
      ...(status === undefined ? isShown : { status }),
      ...(page.after === undefined ? {} : { id: { $lt: page.after } }),
    },
    { orderBy: { id: 'desc' }, limit: page.limit + 1 },
  )

const jobDocumentOf = (job: WorkflowJob): z.output<typeof jobDocument> => ({
  id: job.id,
  runId: job.runId,
  stepId: job.stepId,
  parentId: job.parentId ?? null,
  itemIndex: job.itemIndex ?? null,
  status: shownStatus.parse(job.status),
  seq: job.seq,
  attempt: job.attempt,
  revision: job.revision,
  emitted: job.emitted,
  payload: job.payload ?? null,
  output: job.output ?? null,
  error: job.error ?? null,
  runAfter: job.runAfter?.toISOString() ?? null,
  worker: job.worker ?? null,
  traceparent: job.traceparent,
  createdAt: job.createdAt.toISOString(),
  enqueuedAt: job.enqueuedAt?.toISOString() ?? null,
  startedAt: job.startedAt?.toISOString() ?? null,
  finishedAt: job.finishedAt?.toISOString() ?? null,
})
