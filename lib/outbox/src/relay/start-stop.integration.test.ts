import { setTimeout as pause } from 'node:timers/promises'
import { startProxy } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { OutboxError } from '../errors.ts'
import { orderFaults, type Written } from '../../test/order-faults.ts'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'

const soon = { timeout: 60_000, interval: 50 }

const startsAtATime = 4
const startsOfEach = 20
const longestLifeMs = 250

useLane()

const rowsLeft = async () => (await lane.db.query('select from outbox_message')).rowCount

/** The sessions at Postgres of all relays. */
const sessionsLeft = async () => {
  const { rows } = await lane.db.query<{ application_name: string }>(
    `select application_name from pg_stat_activity
     where datname = current_database() and application_name like 'outbox %'`,
  )
  return rows
}

test('relays that are started and stopped at any moment, while their ways break, lose nothing, keep the order of keys and leave nothing behind', async () => {
  const ways = [await startProxy(vhost.url), await startProxy(database.url)] as const
  const [{ url: rabbitmqUrl }, { url: databaseUrl }] = ways
  onTestFinished(async () => void (await Promise.all(ways.map((way) => way.stop()))))

  const live = async (number: number): Promise<void> => {
    const home = number % 4 === 0 ? 'key 1' : lane.name
    const relay = lane.relay({ rabbitmqUrl, databaseUrl, lane: home, adopt: number % 3 === 0 })
    const starting = relay.start().catch((error: unknown) => {
      if (!(error instanceof OutboxError && error.code === 'relay_stopped')) throw error
    })
    await pause(Math.random() * longestLifeMs)
    await Promise.all([starting, relay.stop({ graceMs: Math.random() < 0.5 ? 0 : longestLifeMs })])
    expect(relay.saw('relay.stopped')).toHaveLength(1)
    expect(relay.saw('relay.failed')).toEqual([])
  }
  const over = new AbortController()
  const liveOneAfterTheOther = async () => {
    for (let number = 0; number < startsOfEach; number += 1) await live(number)
  }
  let sent = 0
  const written = new Map<string, Written>()
  const write = async () => {
    while (!over.signal.aborted) {
      const messageId = crypto.randomUUID()
      const keyed = { routingKey: lane.name, payload: (sent += 1), orderingKey: `key ${sent % 7}`, messageId }
      written.set(messageId, { key: keyed.orderingKey, position: 0, sent, done: sent })
      await lane.commit(keyed, { routingKey: lane.name, payload: (sent += 1) })
      await pause(5)
    }
  }
  const breakWays = async () => {
    for (let blow = 0; !over.signal.aborted; blow += 1) {
      await pause(longestLifeMs)
      const way = ways[blow % 2 === 0 ? 0 : 1]
      if (blow % 4 < 2) way.cut()
      else way.pause()
      await pause(longestLifeMs / 2)
      way.resume()
    }
  }
  const living = Promise.all(Array.from({ length: startsAtATime }, liveOneAfterTheOther))
  await Promise.all([living.finally(() => over.abort()), write(), breakWays()])
  await expect.poll(sessionsLeft, soon).toEqual([])

  const last = lane.relay({ adopt: true })
  await last.start()
  await expect.poll(rowsLeft, soon).toBe(0)
  const received = await lane.take(lane.name)
  expect(new Set(received.map(({ payload }) => payload)).size).toBe(sent)
  const keyed = received.map(({ messageId }) => messageId).filter((messageId) => written.has(messageId))
  expect(orderFaults(keyed, written)).toEqual([])
}, 240_000)

test('a stop whose time is over closes the session of the bell while the other one still waits for its statement', async () => {
  const proxy = await startProxy(database.url)
  onTestFinished(proxy.stop)
  const relay = lane.relay({ databaseUrl: proxy.url })
  await relay.start()
  await expect.poll(() => lane.isAsleep(), soon).toBe(true)
  const locker = new pg.Client(database.url)
  await locker.connect()
  onTestFinished(() => locker.end())
  await locker.query('begin; lock table outbox_message')
  await lane.db.query(`notify outbox_lane_${lane.id}`)
  const waits = `select from pg_locks where not granted and relation = 'outbox_message'::regclass`
  await expect.poll(async () => (await lane.db.query(waits)).rowCount, soon).toBe(1)
  const stopped = relay.stop({ graceMs: 0 })
  const hasBell = async () =>
    (await sessionsLeft()).some(({ application_name: name }) => name === `outbox bell ${lane.name}`)
  await expect.poll(async () => [await hasBell(), proxy.connections()], { ...soon, interval: 5 }).toEqual([false, 1])
  await stopped
})
