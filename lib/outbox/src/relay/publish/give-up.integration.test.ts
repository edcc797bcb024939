import { setTimeout as pause } from 'node:timers/promises'
import { createVhost, startProxy } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { openConnection } from './open-connection.ts'

test('an opening that is given up at any moment ends soon, and leaves no connection behind', async () => {
  const vhost = await createVhost()
  const proxy = await startProxy(vhost.url)
  onTestFinished(async () => {
    await proxy.stop()
    await vhost.drop()
  })
  let givenUp = 0
  // From before there is a socket to long after the connection is open, on a slow machine as well.
  for (let round = 0; round < 60; round += 1) {
    const given = new AbortController()
    const opening = openConnection(proxy.url, { name: 'given up', heartbeatSeconds: 5, signal: given.signal }).then(
      (connection) => connection.close(),
      (error: unknown) => {
        expect(error).toMatchObject({ code: 'broker_unavailable' })
        givenUp += 1
      },
    )
    await pause(round * 1.5)
    const givenUpAtMs = performance.now()
    given.abort()
    await opening
    expect(performance.now() - givenUpAtMs).toBeLessThan(1_000)
  }
  expect(givenUp).toBeGreaterThan(0)
  await expect.poll(() => proxy.connections(), { timeout: 10_000, interval: 50 }).toBe(0)
}, 120_000)
