import { strictObject } from '@esteira/workflow'
import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import type { ApiContext } from '../http/api-context.ts'
import { answerOf, bodyOf, idParam, known } from '../http/describe.ts'
import { pageOf, pageQuery, pageRequest, pageSchema } from '../http/pages.ts'
import { bodyProblems, pageProblems, problemResponses } from '../http/problems.ts'
import { etagOf, expectedVersion, ifMatchHeader } from '../http/version-header.ts'
import { stepDocument, stepInput } from './document.ts'
import { readWorkflow, stepOf } from './read-workflows.ts'
import { refuseStep } from './refuse-steps.ts'
import { addStep, removeStep, replaceStep } from './save-step.ts'

const tags = ['steps']
const stepsPath = '/v1/workflows/{id}/steps'
const stepPath = '/v1/workflows/{id}/steps/{stepId}'
const stepParams = z.object({ id: idParam, stepId: idParam })
const versionProblems = ['version_invalid', 'version_stale', 'workflow_busy'] as const

const listRoute = createRoute({
  method: 'get',
  path: stepsPath,
  tags,
  summary: 'Lists the steps of a workflow in their order',
  request: { params: z.object({ id: idParam }), query: strictObject(pageQuery) },
  responses: {
    200: answerOf(pageSchema(stepDocument), 'A page of steps'),
    ...problemResponses('workflow_unknown', ...pageProblems),
  },
})

const addRoute = createRoute({
  method: 'post',
  path: stepsPath,
  tags,
  summary: 'Adds a step at the end: a new version of the workflow',
  request: { params: z.object({ id: idParam }), headers: ifMatchHeader, body: bodyOf(stepInput) },
  responses: {
    201: answerOf(stepDocument, 'The step'),
    ...problemResponses(...bodyProblems, ...versionProblems, 'workflow_unknown'),
  },
})

const readRoute = createRoute({
  method: 'get',
  path: stepPath,
  tags,
  summary: 'Reads a step',
  request: { params: stepParams },
  responses: { 200: answerOf(stepDocument, 'The step'), ...problemResponses('workflow_unknown', 'step_unknown') },
})

const replaceRoute = createRoute({
  method: 'put',
  path: stepPath,
  tags,
  summary: 'Puts a step in the place of the one there: a new version of the workflow',
  request: { params: stepParams, headers: ifMatchHeader, body: bodyOf(stepInput) },
  responses: {
    200: answerOf(stepDocument, 'The step'),
    ...problemResponses(...bodyProblems, ...versionProblems, 'workflow_unknown', 'step_unknown'),
  },
})

const removeRoute = createRoute({
  method: 'delete',
  path: stepPath,
  tags,
  summary: 'Takes a step out: a new version of the workflow',
  request: { params: stepParams, headers: ifMatchHeader },
  responses: {
    204: { description: 'It is gone' },
    ...problemResponses(...versionProblems, 'workflow_unknown', 'step_unknown', 'step_in_use'),
  },
})

/** `/v1/workflows/{id}/steps` and `/v1/workflows/{id}/steps/{stepId}`. */
export const stepRoutes = ({ orm, maxPayloadBytes, onSaved }: ApiContext): OpenAPIHono => {
  const limits = { maxPayloadBytes }
  const app = new OpenAPIHono({ defaultHook: refuseStep({ orm, ...limits }) })

  app.openapi(listRoute, async (c) => {
    const page = pageRequest('steps', c.req.valid('query'), isPosition)
    const { steps } = await readWorkflow(orm.em.fork(), known(c.req.valid('param').id, 'workflow_unknown'))
    const rows = steps.map((step, position) => ({ step, position })).slice(Number(page.after ?? -1) + 1)
    return c.json(
      pageOf(
        'steps',
        page.limit,
        rows,
        ({ position }) => String(position),
        ({ step }) => step,
      ),
      200,
    )
  })

  app.openapi(addRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'workflow_unknown')
    const expected = expectedVersion(c.req.valid('header')['if-match'])
    const { step, version } = await addStep(orm.em.fork(), id, expected, c.req.valid('json'), limits)
    onSaved()
    c.header('location', `/v1/workflows/${id}/steps/${step.id}`)
    c.header('etag', etagOf(version))
    return c.json(step, 201)
  })

  app.openapi(readRoute, async (c) => {
    const { workflowId, stepId } = stepAddress(c.req.valid('param'))
    const workflow = await readWorkflow(orm.em.fork(), workflowId)
    c.header('etag', etagOf(workflow.version))
    return c.json(stepOf(workflow, stepId), 200)
  })

  app.openapi(replaceRoute, async (c) => {
    const at = stepAddress(c.req.valid('param'))
    const expected = expectedVersion(c.req.valid('header')['if-match'])
    const { step, version } = await replaceStep(orm.em.fork(), at, expected, c.req.valid('json'), limits)
    onSaved()
    c.header('etag', etagOf(version))
    return c.json(step, 200)
  })

  app.openapi(removeRoute, async (c) => {
    const at = stepAddress(c.req.valid('param'))
    await removeStep(orm.em.fork(), at, expectedVersion(c.req.valid('header')['if-match']))
    onSaved()
    return c.body(null, 204)
  })

  return app
}

const stepAddress = ({ id, stepId }: { id: string; stepId: string }) => ({
  workflowId: known(id, 'workflow_unknown'),
  stepId: known(stepId, 'step_unknown'),
})

const isPosition = (key: string): boolean => /^\d{1,6}$/.test(key)
