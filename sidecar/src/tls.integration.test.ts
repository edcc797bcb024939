import { certificateAuthority, startTlsFront } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { startSidecar } from '../test/start-sidecar.ts'
import { channel, commit, count, database, environment, useServices, vhost } from '../test/use-services.ts'

const soon = { timeout: 40_000, interval: 20 }

useServices()

const startFront = async (url: string) => {
  const front = await startTlsFront(url)
  onTestFinished(front.stop)
  return front
}

test('both servers may be reached by TLS alone', async () => {
  const [postgres, rabbitmq] = [await startFront(database.url), await startFront(vhost.url)]
  await channel.assertQueue('secured')
  const relay = startSidecar({
    ...environment('secured'),
    DATABASE_URL: `${postgres.url}?sslmode=verify-full`,
    RABBITMQ_URL: rabbitmq.url,
    NODE_EXTRA_CA_CERTS: certificateAuthority,
    // Far beyond the test: what goes out was rung for.
    ESTEIRA_RELAY_POLL_MS: '600000',
  })
  await expect.poll(() => relay.saw('bell.listening').length, soon).toBe(1)
  for (const round of [1, 2]) {
    await commit('secured', [round])
    await expect.poll(() => count('secured'), soon).toBe(round)
  }
  // The session by which it owns lanes, and that of the bell.
  expect(postgres.secured()).toBe(2)
  expect(rabbitmq.secured()).toBe(1)
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(relay.faults).toEqual([])
})

test('a certificate that nobody vouches for is told, for each server, and the rows wait', async () => {
  const [postgres, rabbitmq] = [await startFront(database.url), await startFront(vhost.url)]
  await channel.assertQueue('unknown')
  await commit('unknown', [1])
  const strict = { ...environment('unknown'), DATABASE_URL: `${postgres.url}?sslmode=verify-full` }
  const without = startSidecar(strict)
  await expect
    .poll(() => without.saw('database.unavailable')[0], soon)
    .toMatchObject({
      reason: expect.stringMatching(/certificate/),
    })
  const unlinked = startSidecar({ ...environment('unknown'), RABBITMQ_URL: rabbitmq.url })
  await expect
    .poll(() => unlinked.saw('broker.unavailable')[0], soon)
    .toMatchObject({
      reason: expect.stringMatching(/certificate/),
    })
  expect(await count('unknown')).toBe(0)
})
