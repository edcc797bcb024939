import { Hono } from 'hono'
import type { Env } from './answering.ts'
import { createApi } from './api.ts'
import { createControlApi } from './control.ts'
import { apiErrors } from './errors.ts'
import { createStandIn, type RdStationOptions, type StandIn } from './stand-in.ts'

/** The stand-in as a Hono app, for tests through `app.request()`: the public API, and `/_control` beside it. */
export const createRdStation = (options: RdStationOptions = {}): Hono<Env> => createApp(createStandIn(options))

export const createApp = (standIn: StandIn): Hono<Env> => {
  const app = new Hono<Env>()
  app.route('/_control', createControlApi(standIn.control))
  app.route('/', createApi(standIn))
  app.notFound((c) => c.json(apiErrors.notFound, 404))
  app.onError((error, c) => {
    standIn.observe({ kind: 'failed', method: c.req.method, path: c.req.path, error })
    return c.json(apiErrors.unavailable, 500)
  })
  return app
}
