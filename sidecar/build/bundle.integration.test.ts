import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startSidecar } from '../test/start-sidecar.ts'
import { channel, commit, count, environment, useServices } from '../test/use-services.ts'
import { bundleRelay } from './bundle.ts'

const soon = { timeout: 15_000, interval: 20 }

useServices()

test('the bundled relay needs nothing beside its file: it owns a lane, hears the bell, publishes and ends', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'esteira-relay-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const program = join(folder, 'main.js')
  await bundleRelay(program)
  await channel.assertQueue('bundled')
  // A poll far beyond the test: what goes out was rung for.
  const relay = startSidecar({ ...environment('bundled'), ESTEIRA_RELAY_POLL_MS: '600000' }, program)
  await expect.poll(() => relay.saw('ready').length, soon).toBe(1)
  for (let round = 1; round <= 3; round += 1) {
    await commit('bundled', [round])
    await expect.poll(() => count('bundled'), soon).toBe(round)
  }
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(relay.faults).toEqual([])
})
