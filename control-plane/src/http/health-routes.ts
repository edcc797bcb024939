import { queryable } from '@esteira/outbox'
import { Hono } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { timeout } from 'hono/timeout'
import type { ApiContext } from './api-context.ts'

/** Probes of Kubernetes usually wait longer; a database that takes this long is as good as away. */
const readyWithinMs = 2_000

/** `/healthz`: the process answers. `/readyz`: the database does too. `/metrics`: what it counts, for Prometheus. */
export const healthRoutes = ({ orm, metrics }: Pick<ApiContext, 'orm' | 'metrics'>): Hono => {
  const app = new Hono()
  app.get('/metrics', (c) => c.body(metrics(), 200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }))
  app.get('/healthz', (c) => c.json({ status: 'ok' }))
  app.get(
    '/readyz',
    timeout(readyWithinMs, () => new HTTPException(503)),
    async (c) => {
      await queryable(orm.em.fork()).query('select 1', [])
      return c.json({ status: 'ok' })
    },
  )
  return app
}
