import { setTimeout as pause } from 'node:timers/promises'
import { createVhost, startProxy } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { openConnection } from './open-connection.ts'

test('a link that falls at any moment of its opening is an error, and never more than that', async () => {
  const vhost = await createVhost()
  const proxy = await startProxy(vhost.url)
  onTestFinished(async () => {
    await proxy.stop()
    await vhost.drop()
  })
  const startedMs = performance.now()
  const first = await openConnection(proxy.url, { name: 'stays', heartbeatSeconds: 5 })
  const openingMs = performance.now() - startedMs
  first.close()
  let opened = 0
  let refused = 0
  // Moments before, within and after an opening, be the machine fast or slow.
  for (let round = 0; round < 40; round += 1) {
    const opening = openConnection(proxy.url, { name: 'falls', heartbeatSeconds: 5 }).then(
      (connection) => {
        opened += 1
        connection.on('error', () => {})
        return connection
      },
      (error: unknown) => {
        expect(error).toMatchObject({ code: 'broker_unavailable' })
        refused += 1
        return null
      },
    )
    await pause((openingMs * round) / 13)
    proxy.cut()
    await pause(1)
    proxy.resume()
    await opening
  }
  expect(opened).toBeGreaterThan(0)
  expect(refused).toBeGreaterThan(0)
  await expect.poll(() => proxy.connections(), { timeout: 10_000, interval: 50 }).toBe(0)
}, 120_000)
