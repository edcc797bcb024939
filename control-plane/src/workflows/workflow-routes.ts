import { strictObject } from '@esteira/workflow'
import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import type { ApiContext } from '../http/api-context.ts'
import { answerOf, bodyOf, idParam, known } from '../http/describe.ts'
import { isUuid, pageOf, pageQuery, pageRequest, pageSchema } from '../http/pages.ts'
import { bodyProblems, pageProblems, problemResponses } from '../http/problems.ts'
import { etagOf, expectedVersion, ifMatchHeader, requiredVersion } from '../http/version-header.ts'
import { newWorkflowInput, workflowDocument, workflowInput } from './document.ts'
import { listWorkflows, readWorkflow } from './read-workflows.ts'
import { refuseWorkflow } from './refuse-steps.ts'
import { createWorkflow, deleteWorkflow, replaceWorkflow } from './save-workflow.ts'

const tags = ['workflows']
const path = '/v1/workflows/{id}'
const params = z.object({ id: idParam })

const listRoute = createRoute({
  method: 'get',
  path: '/v1/workflows',
  tags,
  summary: 'Lists the workflows in the order they were made',
  request: { query: strictObject(pageQuery) },
  responses: {
    200: answerOf(pageSchema(workflowDocument), 'A page of workflows'),
    ...problemResponses(...pageProblems),
  },
})

const createWorkflowRoute = createRoute({
  method: 'post',
  path: '/v1/workflows',
  tags,
  summary: 'Saves a new workflow',
  request: { body: bodyOf(newWorkflowInput) },
  responses: {
    201: answerOf(workflowDocument, 'The workflow as version 1'),
    ...problemResponses(...bodyProblems, 'workflow_name_taken'),
  },
})

const readRoute = createRoute({
  method: 'get',
  path,
  tags,
  summary: 'Reads a workflow as it is now',
  request: { params },
  responses: { 200: answerOf(workflowDocument, 'The workflow'), ...problemResponses('workflow_unknown') },
})

const replaceRoute = createRoute({
  method: 'put',
  path,
  tags,
  summary: 'Puts a whole workflow in the place of the version that was read',
  request: { params, headers: ifMatchHeader, body: bodyOf(workflowInput) },
  responses: {
    200: answerOf(workflowDocument, 'The workflow as its new version'),
    ...problemResponses(
      ...bodyProblems,
      'version_required',
      'version_invalid',
      'version_stale',
      'workflow_busy',
      'workflow_unknown',
      'workflow_name_taken',
    ),
  },
})

const deleteRoute = createRoute({
  method: 'delete',
  path,
  tags,
  summary: 'Deletes a workflow; its runs stay, and those under way finish',
  request: { params, headers: ifMatchHeader },
  responses: {
    204: { description: 'It is deleted' },
    ...problemResponses('workflow_unknown', 'version_invalid', 'version_stale', 'workflow_busy'),
  },
})

/** `/v1/workflows` and `/v1/workflows/{id}`. */
export const workflowRoutes = ({ orm, maxPayloadBytes, onSaved }: ApiContext): OpenAPIHono => {
  const limits = { maxPayloadBytes }
  const app = new OpenAPIHono({ defaultHook: refuseWorkflow({ orm, ...limits }) })

  app.openapi(listRoute, async (c) => {
    const page = pageRequest('workflows', c.req.valid('query'), isUuid)
    const workflows = await listWorkflows(orm.em.fork(), page)
    return c.json(
      pageOf(
        'workflows',
        page.limit,
        workflows,
        ({ id }) => id,
        (workflow) => workflow,
      ),
      200,
    )
  })

  app.openapi(createWorkflowRoute, async (c) => {
    const workflow = await createWorkflow(orm.em.fork(), c.req.valid('json'), limits)
    onSaved()
    c.header('location', `/v1/workflows/${workflow.id}`)
    c.header('etag', etagOf(workflow.version))
    return c.json(workflow, 201)
  })

  app.openapi(readRoute, async (c) => {
    const workflow = await readWorkflow(orm.em.fork(), known(c.req.valid('param').id, 'workflow_unknown'))
    c.header('etag', etagOf(workflow.version))
    return c.json(workflow, 200)
  })

  app.openapi(replaceRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'workflow_unknown')
    const expected = requiredVersion(c.req.valid('header')['if-match'])
    const workflow = await replaceWorkflow(orm.em.fork(), id, expected, c.req.valid('json'), limits)
    onSaved()
    c.header('etag', etagOf(workflow.version))
    return c.json(workflow, 200)
  })

  app.openapi(deleteRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'workflow_unknown')
    await deleteWorkflow(orm.em.fork(), id, expectedVersion(c.req.valid('header')['if-match']))
    onSaved()
    return c.body(null, 204)
  })

  return app
}
