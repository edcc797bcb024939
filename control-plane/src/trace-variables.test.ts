import { expect, test } from 'vitest'
import { traceVariables } from './trace-variables.ts'

test('the cron-job program traces to where the control plane does, not under its name', () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_SERVICE_NAME: 'control-plane-1',
    ESTEIRA_ADMIN_TOKEN: 'a secret',
  }
  expect(traceVariables(env)).toEqual({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
    OTEL_TRACES_SAMPLER: 'always_on',
  })
})
