import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { strictObject } from '@esteira/workflow'
import { ControlPlaneError } from '../errors.ts'
import type { ApiContext } from '../http/api-context.ts'
import { answerOf, idParam, known } from '../http/describe.ts'
import { problemResponses } from '../http/problems.ts'
import { explainJob, explanationCodes } from './explain-job.ts'
import { readStanding } from './read-standing.ts'
import { shownStatus } from './shown-jobs.ts'

const explanationDocument = strictObject({
  status: shownStatus,
  code: z.enum(explanationCodes),
  text: z.string().openapi({ description: 'For people' }),
  since: z.iso.datetime().nullable().openapi({ description: 'When that began, where it is known' }),
}).openapi('Explanation')

const explainRoute = createRoute({
  method: 'get',
  path: '/v1/jobs/{id}/explain',
  tags: ['jobs'],
  summary: 'Says why a job stands where it stands, and what it waits for',
  request: { params: z.object({ id: idParam }) },
  responses: { 200: answerOf(explanationDocument, 'Why'), ...problemResponses('job_unknown') },
})

/** `/v1/jobs/{id}/explain`. */
export const explainRoutes = ({ orm }: ApiContext): OpenAPIHono => {
  const app = new OpenAPIHono()

  app.openapi(explainRoute, async (c) => {
    const id = known(c.req.valid('param').id, 'job_unknown')
    const standing = await readStanding(orm.em.fork(), id)
    if (standing === null) throw new ControlPlaneError('job_unknown', `There is no job ${id}.`)
    const { code, text, sinceMs } = explainJob(standing)
    const since = sinceMs === null ? null : new Date(sinceMs).toISOString()
    return c.json({ status: standing.status, code, text, since }, 200)
  })

  return app
}
