import { listingPackages, startOtlpReceiver } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { startSidecar } from '../test/start-sidecar.ts'
import { channel, commit, count, environment, rowsOf, useServices } from '../test/use-services.ts'

const soon = { timeout: 40_000, interval: 20 }
const traceId = '0af7651916cd43dd8448eb211c80319c'
const traceparent = `00-${traceId}-b7ad6b7169203331-01`

useServices()

test('a relay sends a span of each message whose trace is recorded, the last ones before it ends', async () => {
  const receiver = await startOtlpReceiver()
  onTestFinished(receiver.stop)
  await channel.assertQueue('traced')
  // Longer than the test: what comes was sent at the end.
  const relay = startSidecar({ ...environment('traced'), ...receiver.env, OTEL_BSP_SCHEDULE_DELAY: '600000' })
  await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
  await commit('traced', [1, 2], { traceparent, baggage: 'esteira.run.id=run-1' })
  await commit('traced', [3], { traceparent: traceparent.replace(/1$/, '0') })
  await commit('traced', [4])
  await expect.poll(() => rowsOf('traced'), soon).toBe(0)
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  const span = {
    name: 'send traced',
    service: 'esteira-relay',
    traceId,
    parent: 'b7ad6b7169203331',
    attributes: { 'esteira.run.id': 'run-1', 'esteira.outcome': 'confirmed' },
  }
  expect(receiver.spans()).toMatchObject([span, span])
  // Published as they were written.
  const first = await channel.get('traced', { noAck: true })
  expect(first && first.properties.headers).toEqual({ traceparent, baggage: 'esteira.run.id=run-1' })
})

test('a relay that is not asked to trace loads nothing for it', async () => {
  await channel.assertQueue('untraced')
  const relay = startSidecar({ ...environment('untraced'), ...listingPackages })
  await commit('untraced', [1], { traceparent })
  await expect.poll(() => count('untraced'), soon).toBe(1)
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  const [loaded] = relay.saw('loaded')
  expect(loaded?.packages).toContain('rascal')
  expect(JSON.stringify(loaded)).not.toContain('opentelemetry')
})
