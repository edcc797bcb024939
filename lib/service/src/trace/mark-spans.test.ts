import { keepSpans } from '@esteira/test/traces'
import { context, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { withAttributes, withHiding } from './marks.ts'

const kept = keepSpans()
beforeEach(kept.forget)
afterAll(kept.stop)

const tracer = trace.getTracer('of somebody')

test('every span that begins in a context has its attributes, whoever begins it and however deep', async () => {
  await context.with(withAttributes(ROOT_CONTEXT, { 'esteira.run.id': 'run-1' }), async () => {
    await tracer.startActiveSpan('outer', async (outer) => {
      await Promise.resolve()
      tracer.startSpan('inner', { attributes: { own: true } }).end()
      outer.end()
    })
  })
  tracer.startSpan('elsewhere').end()
  expect(kept.spans().map(({ name, attributes }) => [name, attributes])).toEqual([
    ['inner', { own: true, 'esteira.run.id': 'run-1' }],
    ['outer', { 'esteira.run.id': 'run-1' }],
    ['elsewhere', {}],
  ])
})

test('no text of a span leaves as it is that is hidden in its context, also what was learnt after it began', () => {
  let secret = ''
  const inText = (text: string) => (secret === '' ? text : text.replaceAll(secret, '[hidden]'))
  context.with(withHiding(ROOT_CONTEXT, inText), () => {
    const link = { context: tracer.startSpan('linked').spanContext(), attributes: { 'link of s3cret': 's3cret' } }
    const span = tracer.startSpan('GET /s3cret', {
      attributes: { early: 's3cret', list: ['a', 's3cret'] },
      links: [link],
    })
    secret = 's3cret'
    span.setAttribute('deep', { 'key s3cret': [{ value: 's3cret' }] })
    span.setAttribute('name s3cret', 1)
    span.addEvent('event s3cret', { with: 'the s3cret' })
    span.recordException(new Error('refused: s3cret'))
    span.setStatus({ code: SpanStatusCode.ERROR, message: 'no s3cret' })
    span.end()
  })
  const [span] = kept.spans()
  const { name, attributes, events, links, status } = span ?? {}
  expect(JSON.stringify({ name, attributes, events, links, status })).not.toContain('s3cret')
  expect(span).toMatchObject({
    name: 'GET /[hidden]',
    attributes: { early: '[hidden]', list: ['a', '[hidden]'], deep: { 'key [hidden]': [{ value: '[hidden]' }] } },
    status: { message: 'no [hidden]' },
  })
})
