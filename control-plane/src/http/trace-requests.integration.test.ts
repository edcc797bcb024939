import { keepSpans } from '@esteira/test/traces'
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { afterAll, beforeEach, expect, test } from 'vitest'
import * as z from 'zod'
import { leadsSteps } from '../../test/open-api.ts'
import { api, useApi } from '../../test/use-api.ts'
import { runDocument } from '../runs/document.ts'
import { workflowDocument } from '../workflows/document.ts'

const kept = keepSpans()
useApi()
beforeEach(kept.forget)
afterAll(kept.stop)

const saveWorkflow = async (name: string): Promise<string> => {
  const saved = await api.send('POST', '/v1/workflows', { name, steps: leadsSteps.slice(1) })
  kept.forget()
  return workflowDocument.parse(saved.body).id
}

const caller = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }
const traceparent = `00-${caller.traceId}-${caller.spanId}-01`

test('a request that begins a run has a span in the trace of its caller, and the first job links to it', async () => {
  const runs = `/v1/workflows/${await saveWorkflow('begun')}/runs`
  const { id } = runDocument.parse((await api.send('POST', runs, {}, { traceparent })).body)
  const [created, request, ...others] = kept.spans()
  expect(others).toEqual([])
  expect(request).toMatchObject({
    name: 'POST /v1/workflows/:id/runs',
    kind: SpanKind.SERVER,
    parentSpanContext: caller,
    status: { code: SpanStatusCode.UNSET },
    attributes: {
      'http.request.method': 'POST',
      'http.response.status_code': 201,
      'http.route': '/v1/workflows/:id/runs',
      'url.path': runs,
      'url.scheme': 'http',
      'esteira.run.id': id,
    },
  })
  const { spanId } = request?.spanContext() ?? {}
  expect(created).toMatchObject({
    name: 'create RdStation.getLeads',
    parentSpanContext: undefined,
    links: [{ context: { traceId: caller.traceId, spanId } }],
    attributes: { 'esteira.run.id': id },
  })
  // A trace of its own, like that of any job.
  expect(created?.spanContext().traceId).not.toBe(caller.traceId)
})

test('a cancel and a retry say whose they are', async () => {
  const runs = `/v1/workflows/${await saveWorkflow('told')}/runs`
  const { id: run } = runDocument.parse((await api.send('POST', runs)).body)
  const [{ id: job } = { id: '' }] = await jobsOf(run)
  kept.forget()
  const paths = [`jobs/${job}/retry`, `jobs/${job}/cancel`, `runs/${run}/retry`, `runs/${run}/cancel`]
  for (const path of paths) await api.send('POST', `/v1/${path}`)
  expect(kept.spans().map(({ name, attributes }) => [name, whoseOf(attributes)])).toEqual([
    ['POST /v1/jobs/:id/retry', [undefined, job]],
    ['POST /v1/jobs/:id/cancel', [undefined, job]],
    ['POST /v1/runs/:id/retry', [run, undefined]],
    ['POST /v1/runs/:id/cancel', [run, undefined]],
  ])
})

test('who only looks has no span, nor has a stranger', async () => {
  await api.send('GET', '/v1/workflows', undefined, { traceparent })
  expect(await api.send('POST', '/v1/workflows', {}, { traceparent, authorization: 'Bearer other' })).toMatchObject({
    status: 401,
  })
  expect(kept.spans()).toEqual([])
})

test('what the caller does wrong is no error of ours, and what nobody takes has no route', async () => {
  await api.send('POST', '/v1/workflows', {})
  await api.send('POST', '/v1/elsewhere')
  expect(
    kept.spans().map(({ name, status, attributes }) => [name, status.code, attributes['http.response.status_code']]),
  ).toEqual([
    ['POST /v1/workflows', SpanStatusCode.UNSET, 422],
    ['POST', SpanStatusCode.UNSET, 404],
  ])
})

test('a fault of ours is told, without what the caller hears of it', async () => {
  await api.query('alter table workflow rename to elsewhere')
  await api.send('DELETE', `/v1/workflows/${crypto.randomUUID()}`)
  await api.query('alter table elsewhere rename to workflow')
  expect(kept.spans()).toMatchObject([
    {
      name: 'DELETE /v1/workflows/:id',
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': '500', 'http.response.status_code': 500 },
      events: [],
    },
  ])
})

type Attributes = ReturnType<typeof kept.spans>[number]['attributes']

const whoseOf = (attributes: Attributes) => [attributes['esteira.run.id'], attributes['esteira.job.id']]

const jobsOf = async (run: string): Promise<{ id: string }[]> =>
  z.array(z.object({ id: z.string() })).parse(await api.query('select id from workflow_job where run_id = $1', [run]))
