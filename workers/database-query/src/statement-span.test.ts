import { ROOT_CONTEXT, trace } from '@opentelemetry/api'
import { expect, test, vi } from 'vitest'
import { openStatementSpan } from './statement-span.ts'

test('where nobody traces no span is made for a statement', () => {
  const made = vi.spyOn(Object.getPrototypeOf(trace.getTracer('any')), 'startSpan')
  const end = openStatementSpan({ connection: 'crm', sql: 'select 1' }, ROOT_CONTEXT)
  expect(end({ rows: 1 })).toBeUndefined()
  expect(made).not.toHaveBeenCalled()
})
