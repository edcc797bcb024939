import { trace } from '@opentelemetry/api'
import { expect, test, vi } from 'vitest'
import { inStatementSpan } from './statement-span.ts'

test('where nobody traces no span is made for a statement', async () => {
  const made = vi.spyOn(Object.getPrototypeOf(trace.getTracer('any')), 'startActiveSpan')
  const given = { rows: [1] }
  expect(await inStatementSpan({ connection: 'crm', sql: 'select 1' }, async () => given)).toBe(given)
  expect(made).not.toHaveBeenCalled()
})
