import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { methodNotAllowed } from 'hono/method-not-allowed'
import { routePath } from 'hono/route'
import { cronJobRoutes } from '../cron/cron-job-routes.ts'
import { ControlPlaneError } from '../errors.ts'
import { functionRoutes } from '../functions/function-routes.ts'
import { attemptRoutes } from '../jobs/attempt-routes.ts'
import { explainRoutes } from '../jobs/explain-routes.ts'
import { jobRoutes } from '../jobs/job-routes.ts'
import { runRoutes } from '../runs/run-routes.ts'
import { stepRoutes } from '../workflows/step-routes.ts'
import { workflowRoutes } from '../workflows/workflow-routes.ts'
import type { ApiContext } from './api-context.ts'
import { bearerToken } from './auth.ts'
import { healthRoutes } from './health-routes.ts'
import { checkJson, limitBody } from './json-body.ts'
import { answerError } from './problems.ts'
import { refuseInvalid } from './refuse-invalid.ts'
import { traceRequests } from './trace-requests.ts'

/** What happens while requests are served: never with a body or a token. `path` is the route's pattern. */
export type ApiEvent =
  | { kind: 'request.answered'; method: string; path: string; status: number; ms: number }
  | { kind: 'request.failed'; method: string; path: string; error: unknown }

export type AppOptions = ApiContext & { adminToken: string; observe: (event: ApiEvent) => void }

/** The API as a Hono app. */
export const createApp = ({ adminToken, observe, ...context }: AppOptions): OpenAPIHono => {
  const app = new OpenAPIHono({ defaultHook: refuseInvalid() })
  const answer = (error: unknown, c: Context): Response =>
    answerError(error, c, (cause) =>
      observe({ kind: 'request.failed', method: c.req.method, path: routePath(c, -1), error: cause }),
    )

  app.onError(answer)
  app.notFound((c) => answer(new ControlPlaneError('route_unknown', `There is no ${c.req.method} ${c.req.path}.`), c))

  app.use(observed(observe))
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) => {
        c.header('allow', methods.join(', '))
        return answer(new ControlPlaneError('method_not_allowed', `Use one of ${methods.join(', ')}.`), c)
      },
    }),
  )
  app.use('/v1/*', bearerToken(adminToken), traceRequests, limitBody, checkJson)

  app.route('/', healthRoutes(context))
  app.route('/', workflowRoutes(context))
  app.route('/', stepRoutes(context))
  app.route('/', runRoutes(context))
  app.route('/', jobRoutes(context))
  app.route('/', attemptRoutes(context))
  app.route('/', explainRoutes(context))
  app.route('/', functionRoutes(context))
  app.route('/', cronJobRoutes(context))

  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' })
  app.doc31('/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'Esteira', version: 'v1', description: 'Step workflows that lose nothing.' },
    security: [{ bearer: [] }],
  })
  return app
}

const observed = (observe: (event: ApiEvent) => void) =>
  createMiddleware(async (c, next) => {
    const start = performance.now()
    await next()
    const ms = Math.round(performance.now() - start)
    observe({ kind: 'request.answered', method: c.req.method, path: routePath(c, -1), status: c.res.status, ms })
  })
