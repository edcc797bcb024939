import { findPgbouncer, type OwnPgbouncer, startOwnPgbouncer } from '@esteira/test/support'
import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { database, lane, useLane } from '../../test/use-lane.ts'
import { enqueue, type OutboxMessage, receive, registerLane } from '../index.ts'

const program = await findPgbouncer()

const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary().autoincrement(), text: p.text() } })

describe.skipIf(program === null)('through PgBouncer in transaction mode', () => {
  useLane()

  let pooler: OwnPgbouncer
  beforeAll(async () => {
    pooler = await startOwnPgbouncer(String(program), database.url, 2)
  })
  afterAll(() => pooler.drop())

  const poolOf = (max: number) => {
    const pool = new pg.Pool({ connectionString: pooler.url, max })
    onTestFinished(() => pool.end())
    return pool
  }

  const write = async (pool: pg.Pool, end: 'commit' | 'rollback', messages: readonly OutboxMessage[]) => {
    const writer = await pool.connect()
    try {
      await writer.query('begin')
      await enqueue(writer, messages, { lane: lane.id })
      await writer.query(end)
    } finally {
      writer.release()
    }
  }

  const good = (payload: unknown) => ({ routingKey: lane.name, payload })

  test('what many clients commit over two sessions is carried once, and wakes the relay', async () => {
    const pool = poolOf(8)
    const relay = lane.relay({ pollMs: 3_600_000 })
    await relay.start()
    const sent: number[] = []
    const writeSome = async (first: number) => {
      for (let n = first; n < first + 20; n += 1) {
        await write(pool, 'rollback', [good(`taken back ${n}`)])
        await write(pool, 'commit', [good(n), { ...good(n + 1_000), availableAt: new Date() }])
        sent.push(n, n + 1_000)
      }
    }
    await Promise.all(Array.from({ length: 8 }, (_, writer) => writeSome(writer * 20)))
    await expect.poll(() => lane.count(lane.name), { timeout: 20_000 }).toBe(sent.length)
    expect((await lane.take(lane.name)).map(({ payload }) => payload)).toEqual(expect.arrayContaining(sent))
    await expect.poll(() => lane.isAsleep(), { timeout: 10_000 }).toBe(true)
    await write(pool, 'commit', [good('rung')])
    await expect.poll(() => lane.count(lane.name), { timeout: 10_000 }).toBe(1)
  })

  test('a unit of work takes its messages with it', async () => {
    const orm = new MikroORM({ clientUrl: pooler.url, entities: [Note] })
    onTestFinished(() => orm.close())
    await lane.db.query('create table note (id int generated always as identity primary key, text text not null)')
    const writeNote = (text: string, then: () => void) =>
      orm.em.fork().transactional(async (em) => {
        em.create(Note, { text }, { persist: true })
        await enqueue(em, good(text), { lane: lane.id })
        then()
      })
    await writeNote('kept', () => {})
    const changed = new Error('changed my mind')
    await expect(
      writeNote('taken back', () => {
        throw changed
      }),
    ).rejects.toBe(changed)
    expect((await lane.db.query('select text from note')).rows).toEqual([{ text: 'kept' }])
    expect(await lane.rows()).toBe(1)
  })

  test('a client outside a transaction is refused, whatever transactions others are in', async () => {
    const pool = poolOf(4)
    const inside = await pool.connect()
    await inside.query('begin')
    await expect(enqueue(pool, good(1), { lane: lane.id })).rejects.toThrow(
      expect.objectContaining({ code: 'not_in_transaction' }),
    )
    await inside.query('rollback')
    inside.release()
    expect(await lane.rows()).toBe(0)
  })

  test('a delivery is noted once, and a lane is registered', async () => {
    const pool = poolOf(2)
    const client = await pool.connect()
    expect(await registerLane(client, lane.name)).toBe(lane.id)
    const firsts: boolean[] = []
    for (let delivery = 0; delivery < 2; delivery += 1) {
      await client.query('begin')
      firsts.push(await receive(client, { consumer: 'invoices', messageId: '018f0000-0000-7000-8000-000000000001' }))
      await client.query('commit')
    }
    client.release()
    expect(firsts).toEqual([true, false])
  })

  test('a relay is refused its start', async () => {
    await expect(lane.relay({ databaseUrl: pooler.url }).start()).rejects.toThrow(
      expect.objectContaining({ code: 'pooler_in_between' }),
    )
  })
})
