import { setTimeout as pause } from 'node:timers/promises'
import { startProxy } from '@esteira/test/support'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { enqueue } from '../enqueue/enqueue.ts'
import { database, lane, useLane, vhost } from '../../test/use-lane.ts'
import { orderFaults, type Written } from '../../test/order-faults.ts'

useLane()

const adopting = (options = {}) => lane.relay({ lane: `${lane.name} home`, adopt: true, ...options })

const rowsLeft = async (): Promise<number> => {
  const { rows } = await lane.db.query<{ count: number }>('select count(*)::int from outbox_message')
  return rows[0]?.count ?? Number.NaN
}

/** Writers of 100,000 rows with 500 keys, in transactions that overlap, and some that are rolled back. */
const writeMuch = async (rows: number, keys: number): Promise<Map<string, Written>> => {
  const written = new Map<string, Written>()
  let clock = 0
  const write = async (writer: pg.Client, number: number): Promise<void> => {
    while (written.size < rows) {
      const messages = Array.from({ length: 1 + Math.floor(Math.random() * 40) }, (_, position) => ({
        routingKey: lane.name,
        payload: { number, position },
        orderingKey: `key ${Math.floor(Math.random() * keys)}`,
        messageId: crypto.randomUUID(),
      }))
      await writer.query('begin')
      await enqueue(writer, messages)
      if (Math.random() < 0.05) {
        await writer.query('rollback')
        continue
      }
      clock += 1
      const sent = clock
      await writer.query('commit')
      clock += 1
      const done = clock
      for (const [position, { messageId, orderingKey }] of messages.entries()) {
        written.set(messageId, { key: orderingKey, position, sent, done })
      }
    }
  }
  await Promise.all(
    Array.from({ length: 8 }, async (_, number) => {
      const writer = new pg.Client(database.url)
      await writer.connect()
      await write(writer, number)
      await writer.end()
    }),
  )
  return written
}

test('100,000 rows of 500 keys by 8 writers arrive in the order of their commits, through losses of every kind', async () => {
  const proxy = await startProxy(vhost.url)
  onTestFinished(proxy.stop)
  const relays = [adopting({ rabbitmqUrl: proxy.url }), adopting({ lane: `${lane.name} other` })]
  await Promise.all(relays.map((relay) => relay.start()))
  const written = writeMuch(100_000, 500)
  const breaking = new AbortController()
  const breakThings = async () => {
    while (!breaking.signal.aborted) {
      await pause(400)
      proxy.cut()
      proxy.resume()
      await pause(400)
      await lane.db.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1`, [
        `outbox relay ${lane.name} ${Math.random() < 0.5 ? 'home' : 'other'}`,
      ])
    }
  }
  await Promise.all([written.finally(() => breaking.abort()), breakThings()])
  await expect.poll(rowsLeft, { timeout: 300_000, interval: 200 }).toBe(0)
  await Promise.all(relays.map((relay) => relay.stop({ graceMs: 5_000 })))
  const received = (await lane.take(lane.name)).map(({ messageId }) => messageId)
  expect(new Set(received).size).toBe((await written).size)
  expect(orderFaults(received, await written)).toEqual([])
}, 480_000)
