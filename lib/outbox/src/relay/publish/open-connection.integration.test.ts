import { setTimeout as pause } from 'node:timers/promises'
import { createVhost, startProxy } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { holdFence } from './hold-fence.ts'
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

test.each(['0', '600'])(
  'a link over which nothing comes frees its exclusive queue in time, also with ?heartbeat=%s in its address',
  async (heartbeat) => {
    const vhost = await createVhost()
    const proxy = await startProxy(vhost.url)
    onTestFinished(async () => {
      await proxy.stop()
      await vhost.drop()
    })
    const silent = await openConnection(`${proxy.url}?heartbeat=${heartbeat}&channelMax=7`, {
      name: 'silent',
      heartbeatSeconds: 1,
    })
    silent.on('error', () => {})
    await holdFence(silent, 'outbox.lane.silent')
    const heir = await openConnection(vhost.url, { name: 'heir', heartbeatSeconds: 5 })
    onTestFinished(() => new Promise((resolve) => heir.close(() => resolve())))
    await expect(holdFence(heir, 'outbox.lane.silent')).rejects.toThrow(expect.objectContaining({ code: 'fence_held' }))
    proxy.pause()
    await expect
      .poll(
        () =>
          holdFence(heir, 'outbox.lane.silent').then(
            () => true,
            () => false,
          ),
        { timeout: 15_000 },
      )
      .toBe(true)
    // The rest of the address stays.
    expect(Reflect.get(silent.connection, 'channelMax')).toBe(7)
  },
  30_000,
)
