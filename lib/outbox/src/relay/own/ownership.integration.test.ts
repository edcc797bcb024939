import { startProxy } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane, vhost } from '../../../test/use-lane.ts'

const pollMs = 600_000
const soon = { timeout: 15_000, interval: 20 }

useLane()

const message = (payload: unknown) => ({ routingKey: lane.name, payload })

/** Ends the server's side of the lane's sessions of one kind, as an administrator or a failover would. */
const killSessions = async (kind: 'relay' | 'bell') => {
  const { rowCount } = await lane.db.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and datname = current_database()`,
    [`outbox ${kind} ${lane.name}`],
  )
  expect(rowCount).toBe(1)
}

test('of two relays on a lane one publishes, and the other takes over when it stops', async () => {
  const first = lane.relay()
  const second = lane.relay()
  await lane.commit(message(1), message(2))
  expect(await first.runOnce()).toMatchObject({ confirmed: 2 })
  await lane.commit(message(3))
  expect(await second.runOnce()).toEqual({ kind: 'waiting' })
  expect(await second.runOnce()).toEqual({ kind: 'waiting' })
  expect(second.saw('relay.waiting')).toHaveLength(1)
  expect(await lane.rows()).toBe(1)
  await first.stop({ graceMs: 0 })
  await expect.poll(() => second.runOnce(), soon).toMatchObject({ confirmed: 1 })
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual([1, 2, 3])
})

test('a relay that waits for its lane has started, and owns it soon after the owner is gone', async () => {
  const first = lane.relay({ pollMs })
  const second = lane.relay({ pollMs })
  await first.start()
  await second.start()
  expect(second.saw('relay.owned')).toEqual([])
  await first.stop({ graceMs: 1_000 })
  await lane.commit(message(1))
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect(second.saw('relay.owned')).toHaveLength(1)
})

test('a relay whose control session is killed owns its lane again and goes on', async () => {
  const relay = lane.relay({ pollMs })
  await relay.start()
  await expect.poll(() => relay.saw('relay.owned').length, soon).toBe(1)
  await killSessions('relay')
  await expect.poll(() => relay.saw('relay.lost').length, soon).toBe(1)
  await expect.poll(() => relay.saw('relay.owned').length, soon).toBe(2)
  await lane.commit(message('after'))
  await expect.poll(() => lane.rows(), soon).toBe(0)
})

test('a relay whose bell session is killed listens again and is woken by the next ring', async () => {
  const relay = lane.relay({ pollMs })
  await relay.start()
  await killSessions('bell')
  await expect.poll(() => relay.saw('bell.listening').length, soon).toBe(2)
  await lane.commit(message('after'))
  await expect.poll(() => lane.rows(), soon).toBe(0)
  expect(relay.saw('relay.lost')).toEqual([])
})

test('a row that nobody heard of while the bell session was away is found when it is back', async () => {
  const relay = lane.relay({ pollMs })
  await relay.start()
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  await lane.commit(message('heard'))
  await expect.poll(() => lane.rows(), soon).toBe(0)
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  await lane.db.query('alter table outbox_message disable trigger outbox_message_ring')
  await lane.commit(message('unheard'))
  await lane.db.query('alter table outbox_message enable trigger outbox_message_ring')
  expect(await lane.rows()).toBe(1)
  await killSessions('bell')
  await expect.poll(() => lane.rows(), soon).toBe(0)
})

test('rows that were confirmed when the control session was lost are published again by the next owner', async () => {
  const proxy = await startProxy(vhost.url)
  const relay = lane.relay({ rabbitmqUrl: proxy.url })
  await lane.commit(message('first'))
  await relay.runOnce()
  await lane.commit(message('second'))
  proxy.pause()
  const turn = relay.runOnce()
  await expect.poll(() => lane.count(lane.name), soon).toBe(2)
  await killSessions('relay')
  await expect.poll(() => relay.saw('relay.lost').length, soon).toBe(1)
  proxy.resume()
  await expect(turn).rejects.toThrow(expect.objectContaining({ code: 'session_lost' }))
  expect(await relay.runOnce()).toMatchObject({ confirmed: 1 })
  expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(['first', 'second', 'second'])
  await relay.stop({ graceMs: 0 })
  await proxy.stop()
})

test('nothing new goes out once the control session is lost', async () => {
  const proxy = await startProxy(vhost.url)
  // Four rows at a time, read one by one.
  const relay = lane.relay({ rabbitmqUrl: proxy.url, window: 4 })
  await lane.commit(message(0))
  await relay.runOnce()
  proxy.pause()
  const numbers = Array.from({ length: 20 }, (_, index) => index + 1)
  await lane.commit(...numbers.map(message))
  const turn = relay.runOnce()
  await expect.poll(() => lane.count(lane.name), soon).toBeGreaterThan(1)
  await killSessions('relay')
  await expect.poll(() => relay.saw('relay.lost').length, soon).toBe(1)
  proxy.resume()
  await expect(turn).rejects.toThrow(expect.objectContaining({ code: 'session_lost' }))
  expect(await lane.count(lane.name)).toBeLessThanOrEqual(5)
  expect(await relay.runOnce()).toMatchObject({ confirmed: 20 })
  await relay.stop({ graceMs: 0 })
  await proxy.stop()
})

test('confirms of what is in flight when the control session is lost are awaited', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const ends: string[] = []
  const relay = lane.relay({
    rabbitmqUrl: proxy.url,
    pollMs,
    onSend:
      () =>
      ({ kind }) =>
        void ends.push(kind),
    observe: ({ kind }) => {
      if (kind === 'relay.lost') proxy.resume()
    },
  })
  await relay.start()
  await lane.commit(message('first'))
  await expect.poll(() => ends, soon).toEqual(['confirmed'])
  proxy.pause()
  await lane.commit(message('in flight'))
  await expect.poll(() => lane.count(lane.name), soon).toBe(2)
  await killSessions('relay')
  // Its delete is lost with the session, so it goes out once more.
  await expect.poll(() => ends, soon).toHaveLength(3)
  expect(ends).toEqual(['confirmed', 'confirmed', 'confirmed'])
})

test('rows that go one by one stop going as well once the control session is lost', async () => {
  const proxy = await startProxy(vhost.url)
  const seen: string[] = []
  const relay = lane.relay({
    rabbitmqUrl: proxy.url,
    observe: ({ kind }) => {
      seen.push(kind)
      // The rows in flight with the bad one go one by one from now on, and the next channel does not open yet.
      if (kind === 'broker.channel-closed') proxy.pause()
    },
  })
  await lane.commit(message('first'))
  await relay.runOnce()
  await lane.commit({ exchange: 'missing', routingKey: 'any', payload: 'bad' }, ...[1, 2, 3, 4, 5].map(message))
  // Heard from the beginning: the turn may end before the observations are seen.
  const turn = Promise.allSettled([relay.runOnce()])
  await expect.poll(() => seen, soon).toContain('broker.channel-closed')
  await killSessions('relay')
  await expect.poll(() => seen, soon).toContain('relay.lost')
  proxy.resume()
  expect(await turn).toMatchObject([{ status: 'rejected', reason: { code: 'session_lost' } }])
  expect(await lane.count(lane.name)).toBe(1)
  await relay.stop({ graceMs: 0 })
  await proxy.stop()
})

test('a relay whose way to Postgres is cut comes back by itself, and says where it tried without the password', async () => {
  const proxy = await startProxy(database.url)
  const relay = lane.relay({ databaseUrl: proxy.url, pollMs })
  await relay.start()
  proxy.cut()
  await expect.poll(() => relay.saw('database.unavailable').length, soon).toBeGreaterThan(2)
  const { port, pathname } = new URL(proxy.url)
  expect(relay.saw('database.unavailable')[0]).toMatchObject({
    address: expect.stringMatching(new RegExp(`^postgres(ql)?://[^:@]*@[^:@]*:${port}${pathname}$`)),
  })
  await lane.commit(message('waits'))
  proxy.resume()
  await expect.poll(() => lane.rows(), soon).toBe(0)
  await expect.poll(() => relay.saw('bell.listening').length, soon).toBe(2)
  await relay.stop({ graceMs: 0 })
  await proxy.stop()
})

test('a relay that starts before the tables are there waits for them', async () => {
  await lane.db.query('alter table outbox_lane rename to not_there_yet')
  const relay = lane.relay({ pollMs })
  const started = relay.start()
  await expect.poll(() => relay.saw('database.unavailable').length, soon).toBeGreaterThan(0)
  expect(relay.saw('database.unavailable')[0]).toMatchObject({
    reason: 'the tables of the outbox are not there yet: relation "outbox_lane" does not exist',
  })
  await lane.db.query('alter table not_there_yet rename to outbox_lane')
  await started
  await expect.poll(() => relay.saw('relay.owned').length, soon).toBe(1)
  expect(relay.saw('relay.lost'), 'nothing was owned that could be lost').toEqual([])
})

test('a start that waits for Postgres ends with the reason of its signal', async () => {
  const proxy = await startProxy(database.url)
  proxy.cut()
  const relay = lane.relay({ databaseUrl: proxy.url })
  const giveUp = new AbortController()
  const started = relay.start({ signal: giveUp.signal })
  await expect.poll(() => relay.saw('database.unavailable').length, soon).toBeGreaterThan(0)
  const reason = new Error('asked to stop')
  giveUp.abort(reason)
  await expect(started).rejects.toBe(reason)
  expect(relay.saw('relay.stopped')).toHaveLength(1)
  await proxy.stop()
})
