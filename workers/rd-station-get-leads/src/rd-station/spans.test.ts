import { inspect } from 'node:util'
import { startRdStation } from '@esteira/dev/rd-station'
import { keepSpans, watchHttp } from '@esteira/test/traces'
import { trace } from '@opentelemetry/api'
import { expect, onTestFinished, test } from 'vitest'
import { createRdStationClient } from './client.ts'

test('the spans of a read tell its calls, and no secret, token or contact', async () => {
  const kept = keepSpans()
  const unwatch = watchHttp()
  const credentials = { clientId: 'an-id', clientSecret: 'the-client-secret', refreshToken: 'the-refresh-token' }
  const rdStation = await startRdStation({ credentials })
  const client = createRdStationClient({ baseUrl: rdStation.url, ...credentials })
  onTestFinished(async () => {
    unwatch()
    await Promise.all([client.close(), rdStation.stop(), kept.stop()])
  })
  const issued = { access_token: 'an-issued-token', expires_in: 3_600, refresh_token: credentials.refreshToken }
  const body = { contacts: [{ uuid: 'a', email: 'ana@example.com' }] }
  rdStation.control.set({
    failNext: [
      { status: 200, on: 'token', body: issued },
      { status: 500, body: { error: 'an-issued-token' } },
      { status: 200, headers: { 'pagination-total-rows': '1' }, body },
    ],
  })
  await trace.getTracer('test').startActiveSpan('function', async (span) => {
    const query = { segmentationId: 1, pageSize: 10, written: async () => 1, signal: new AbortController().signal }
    await expect(Array.fromAsync(client.contacts(query))).rejects.toThrow('answered 500')
    expect(await Array.fromAsync(client.contacts(query))).toHaveLength(1)
    span.end()
  })
  await expect
    .poll(() =>
      kept
        .spans()
        .map(({ name }) => name)
        .toSorted(),
    )
    .toEqual(['GET', 'GET', 'POST', 'function'])
  const told = inspect(kept.spans(), { depth: 8 })
  expect(told).toContain('/platform/segmentations/1/contacts')
  for (const secret of ['the-client-secret', 'the-refresh-token', 'an-issued-token', 'Bearer', 'ana@example.com']) {
    expect(told).not.toContain(secret)
  }
})
