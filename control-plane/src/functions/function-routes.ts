import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { strictObject, WorkflowFunction } from '@esteira/workflow'
import type { ApiContext } from '../http/api-context.ts'
import { answerOf } from '../http/describe.ts'
import { pageOf, pageQuery, pageRequest, pageSchema } from '../http/pages.ts'
import { pageProblems, problemResponses } from '../http/problems.ts'

const jsonSchema = z.record(z.string(), z.unknown())

const functionDocument = strictObject({
  name: z.string(),
  configSchema: jsonSchema,
  inputSchema: jsonSchema.nullable(),
  outputSchema: jsonSchema.nullable(),
  updatedAt: z.iso.datetime(),
}).openapi('Function')

const listRoute = createRoute({
  method: 'get',
  path: '/v1/functions',
  tags: ['functions'],
  summary: 'Lists what workers offer, with their schemas',
  request: { query: strictObject(pageQuery) },
  responses: {
    200: answerOf(pageSchema(functionDocument), 'A page of functions'),
    ...problemResponses(...pageProblems),
  },
})

/** `/v1/functions`. */
export const functionRoutes = ({ orm }: ApiContext): OpenAPIHono => {
  const app = new OpenAPIHono()
  app.openapi(listRoute, async (c) => {
    const page = pageRequest('functions', c.req.valid('query'), (name) => name !== '')
    const functions = await orm.em
      .fork()
      .find(WorkflowFunction, page.after === undefined ? {} : { name: { $gt: page.after } }, {
        orderBy: { name: 'asc' },
        limit: page.limit + 1,
      })
    return c.json(
      pageOf('functions', page.limit, functions, (fn) => fn.name, functionDocumentOf),
      200,
    )
  })
  return app
}

const functionDocumentOf = (fn: WorkflowFunction): z.output<typeof functionDocument> => ({
  name: fn.name,
  configSchema: fn.configSchema,
  inputSchema: fn.inputSchema ?? null,
  outputSchema: fn.outputSchema ?? null,
  updatedAt: fn.updatedAt.toISOString(),
})
