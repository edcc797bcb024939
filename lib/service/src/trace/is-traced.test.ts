import { keepSpans } from '@esteira/test/traces'
import { expect, test } from 'vitest'
import { isTraced } from './is-traced.ts'

test('a process is traced from when OpenTelemetry is started until it is stopped', async () => {
  const before = isTraced()
  const kept = keepSpans()
  const meanwhile = isTraced()
  await kept.stop()
  expect([before, meanwhile, isTraced()]).toEqual([false, true, false])
})
