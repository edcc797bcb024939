import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { strictObject, WorkflowRun } from '@esteira/workflow'
import type { ApiContext } from '../http/api-context.ts'
import { answerOf, bodyOf, idParam, known } from '../http/describe.ts'
import { isUuid, pageOf, pageQuery, pageRequest, pageSchema } from '../http/pages.ts'
import { bodyProblems, pageProblems, problemResponses } from '../http/problems.ts'
import { tellRequest } from '../http/trace-requests.ts'
import { readWorkflowRow } from '../workflows/read-workflows.ts'
import { runDocument, runDocumentOf, runInput, runWithSteps } from './document.ts'
import { cancelRunNow } from './cancel-run.ts'
import { listRuns, readRun } from './read-runs.ts'
import { retryRunNow } from './retry-run.ts'
import { startRun } from './start-run.ts'

const tags = ['runs']
const runsPath = '/v1/workflows/{id}/runs'
const params = z.object({ id: idParam })

const listRoute = createRoute({
  method: 'get',
  path: runsPath,
  tags,
  summary: 'Lists the runs of a workflow, the newest first',
  request: { params, query: strictObject(pageQuery) },
  responses: {
    200: answerOf(pageSchema(runDocument), 'A page of runs'),
    ...problemResponses('workflow_unknown', ...pageProblems),
  },
})

const startRoute = createRoute({
  method: 'post',
  path: runsPath,
  tags,
  summary: 'Starts a run by hand',
  description:
    'While somebody holds the workflow locked no run is started (`workflow_busy`): try again, under the same key.',
  request: { params, body: bodyOf(runInput, false) },
  responses: {
    200: answerOf(runDocument, 'The run that this key began before'),
    201: answerOf(runDocument, 'The run'),
    ...problemResponses(
      ...bodyProblems,
      'workflow_unknown',
      'workflow_disabled',
      'workflow_busy',
      'first_step_missing',
      'first_step_ambiguous',
      'payload_too_large',
      'idempotency_key_reused',
    ),
  },
})

const readRoute = createRoute({
  method: 'get',
  path: '/v1/runs/{id}',
  tags,
  summary: 'Reads a run with how many of its jobs stand where',
  request: { params },
  responses: { 200: answerOf(runWithSteps, 'The run'), ...problemResponses('run_unknown') },
})

const cancelRoute = createRoute({
  method: 'post',
  path: '/v1/runs/{id}/cancel',
  tags,
  summary: 'Cancels a run; one that is cancelled stays so',
  description:
    'What waits is cancelled, and functions that run are told to end. Until all have, the run is `cancelling`.',
  request: { params },
  responses: {
    200: answerOf(runDocument, 'The run, `cancelling` or `cancelled`'),
    ...problemResponses('run_unknown', 'run_over', 'run_busy'),
  },
})

const retryRoute = createRoute({
  method: 'post',
  path: '/v1/runs/{id}/retry',
  tags,
  summary: 'Sends all failed jobs of a run again; it is open until they have ended',
  description: 'They are sent in groups: what a call that is cut short did not send is sent by the next one.',
  request: { params },
  responses: {
    200: answerOf(runWithSteps, 'The run, as it was if no job of it had failed'),
    ...problemResponses('run_unknown', 'run_cancelled', 'run_busy'),
  },
})

/** `/v1/workflows/{id}/runs`, `/v1/runs/{id}` and what can be done with one. */
export const runRoutes = (context: ApiContext): OpenAPIHono => {
  const { orm } = context
  const app = new OpenAPIHono()

  app.openapi(listRoute, async (c) => {
    const page = pageRequest('runs', c.req.valid('query'), isUuid)
    const em = orm.em.fork()
    const { id } = await readWorkflowRow(em, known(c.req.valid('param').id, 'workflow_unknown'))
    const runs = await listRuns(em, id, page)
    return c.json(
      pageOf('runs', page.limit, runs, (run) => run.id, runDocumentOf),
      200,
    )
  })

  app.openapi(startRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'workflow_unknown')
    const { runId, created } = await startRun(orm.em.fork(), id, c.req.valid('json'), context)
    tellRequest({ 'esteira.run.id': runId })
    const run = runDocumentOf(await orm.em.fork().findOneOrFail(WorkflowRun, { id: runId }))
    c.header('location', `/v1/runs/${runId}`)
    return created ? c.json(run, 201) : c.json(run, 200)
  })

  app.openapi(readRoute, async (c) => {
    const run = await readRun(orm.em.fork(), known(c.req.valid('param').id, 'run_unknown'))
    return c.json(run, 200)
  })

  app.openapi(cancelRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'run_unknown')
    tellRequest({ 'esteira.run.id': id })
    await cancelRunNow(orm.em.fork(), id)
    return c.json(runDocumentOf(await orm.em.fork().findOneOrFail(WorkflowRun, { id })), 200)
  })

  app.openapi(retryRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'run_unknown')
    tellRequest({ 'esteira.run.id': id })
    await retryRunNow(orm.em.fork(), id, context)
    return c.json(await readRun(orm.em.fork(), id), 200)
  })

  return app
}
