import { bundleAlone, startOtlpReceiver } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { startSidecar } from '../test/start-sidecar.ts'
import { channel, commit, count, environment, useServices } from '../test/use-services.ts'
import { bundleRelay } from './bundle.ts'

const soon = { timeout: 40_000, interval: 20 }

useServices()

const program = bundleAlone(bundleRelay)

test('the bundled relay needs nothing beside its files: it owns a lane, hears the bell, publishes and ends', async () => {
  await channel.assertQueue('bundled')
  // A poll far beyond the test: what goes out was rung for.
  const relay = startSidecar({ ...environment('bundled'), ESTEIRA_RELAY_POLL_MS: '600000' }, program())
  await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
  for (let round = 1; round <= 3; round += 1) {
    await commit('bundled', [round])
    await expect.poll(() => count('bundled'), soon).toBe(round)
  }
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(relay.faults).toEqual([])
})

test('the bundled relay traces where it is asked to', async () => {
  const receiver = await startOtlpReceiver()
  onTestFinished(receiver.stop)
  await channel.assertQueue('bundled traces')
  const relay = startSidecar({ ...environment('bundled traces'), ...receiver.env }, program())
  await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
  await commit('bundled traces', [1], { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' })
  await expect.poll(() => receiver.spans().length, soon).toBe(1)
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(receiver.spans()).toMatchObject([{ name: 'send bundled traces', service: 'esteira-relay' }])
  expect(relay.faults).toEqual([])
})
