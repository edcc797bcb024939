import { keepSpans } from '@esteira/test/traces'
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { aCall, settle } from '../test/a-group.ts'
import { leadTable } from '../test/insert-lead.ts'
import { call, useTarget } from '../test/use-target.ts'

useTarget(leadTable, {})

const kept = keepSpans()
beforeEach(kept.forget)
afterAll(kept.stop)

test('a statement has one span, with its text and the number of its rows, and without its values', async () => {
  const sql = 'insert into lead values ($1, $2) returning id'
  await call({ sql, params: [1, 'ana@example.com'] })
  const [span, ...others] = kept.spans()
  expect(others).toEqual([])
  expect(span).toMatchObject({ name: 'INSERT', kind: SpanKind.CLIENT, status: { code: SpanStatusCode.UNSET } })
  expect(span?.attributes).toEqual({
    'db.system.name': 'postgresql',
    'db.operation.name': 'INSERT',
    'db.query.text': sql,
    'db.response.returned_rows': 1,
    'esteira.connection': 'crm',
  })
})

test('a statement that is refused has its SQLSTATE, and not the values that Postgres quotes', async () => {
  await expect(call({ sql: 'select $1::int', params: ['ana@example.com'] })).rejects.toThrow('22P02')
  const [span] = kept.spans()
  expect(span).toMatchObject({
    attributes: { 'error.type': '22P02', 'db.response.status_code': '22P02' },
    status: { code: SpanStatusCode.ERROR },
    events: [],
  })
  expect(JSON.stringify([span?.attributes, span?.status])).not.toContain('ana@')
})

test('each run of a group has a span in the trace of its job', async () => {
  const spans = ['a', 'b'].map((digit) => ({ traceId: digit.repeat(32), spanId: digit.repeat(16), traceFlags: 1 }))
  const group = spans.map((span, id) => aCall([id, null], { place: trace.setSpanContext(context.active(), span) }))
  await settle('insert into lead values ($1, $2) returning id', group)
  expect(kept.spans().map((span) => span.parentSpanContext)).toEqual(spans)
  expect(kept.spans().map(({ attributes }) => attributes['db.response.returned_rows'])).toEqual([1, 1])
})
