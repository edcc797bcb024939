import { startProxy } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { lane, useLane, vhost } from '../../test/use-lane.ts'

const soon = { timeout: 20_000, interval: 20 }

useLane()

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

test('a relay says how it stands with Postgres and RabbitMQ, and what waits in its lane while it cannot publish', async () => {
  const proxy = await startProxy(vhost.url)
  // Beyond the test, so that the lane is kept while the broker is away.
  const relay = lane.relay({ rabbitmqUrl: proxy.url, brokerDeadlineMs: 600_000 })
  expect(relay.state()).toEqual({ database: 'down', broker: 'down', lanes: 0 })
  expect(await relay.backlog()).toEqual([])
  await relay.start()
  await expect.poll(() => relay.state(), soon).toEqual({ database: 'up', broker: 'up', lanes: 1 })
  expect(await relay.backlog()).toEqual([{ lane: lane.name, rows: 0, oldestSeconds: 0 }])
  await proxy.stop()
  await expect.poll(() => relay.state().broker, soon).toBe('down')
  await lane.commit(message(1), message(2))
  await lane.commit({ ...message('not due'), delayMs: 600_000 })
  const [waiting] = await relay.backlog()
  expect(waiting).toMatchObject({ lane: lane.name, rows: 2 })
  expect(waiting?.oldestSeconds).toBeGreaterThan(0)
  await lane.commit(...Array.from({ length: 10_000 }, (_, index) => message(index)))
  expect(await relay.backlog(), 'no more are counted').toMatchObject([{ rows: 10_000 }])
  await lane.db.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'outbox relay ' || $1`,
    [lane.name],
  )
  await expect.poll(() => relay.saw('relay.lost').length, soon).toBe(1)
  await expect.poll(() => relay.state(), soon).toMatchObject({ database: 'up', broker: 'down' })
})

test('single turns leave a relay that says the same as one that was started', async () => {
  const relay = lane.relay()
  await lane.commit(message(1))
  await relay.runOnce()
  await lane.commit({ ...message(2), exchange: 'missing' })
  await relay.runOnce()
  expect(relay.state()).toEqual({ database: 'up', broker: 'up', lanes: 1 })
  expect(await relay.backlog()).toMatchObject([{ lane: lane.name, rows: 1 }])
  await relay.stop({ graceMs: 0 })
  expect(relay.state()).toEqual({ database: 'down', broker: 'down', lanes: 0 })
  expect(await relay.backlog()).toEqual([])
})

test('what was refused, and what waits for a closed destination, is among what waits', async () => {
  const relay = lane.relay({ refusedBackoff: { firstMs: 600_000, capMs: 600_000 }, window: 8 })
  await relay.start()
  await lane.commit(...Array.from({ length: 100 }, (_, index) => ({ ...message(index), exchange: 'missing' })))
  await expect.poll(() => relay.saw('relay.refused').length, soon).toBeGreaterThan(0)
  // With each pass the floor rises.
  for (let pass = 1; pass <= 5; pass += 1) {
    await lane.commit(message(pass))
    await expect.poll(() => lane.count(lane.name), soon).toBe(pass)
    await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  }
  expect(await relay.backlog()).toMatchObject([{ lane: lane.name, rows: 100 }])
  await lane.db.query('truncate outbox_message')
})
