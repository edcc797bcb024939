import type pg from 'pg'
import { expect, test } from 'vitest'
import { lane, useLane } from '../../test/use-lane.ts'
import { enqueue } from '../enqueue/enqueue.ts'
import { pruneInbox, receive } from '../inbox/inbox.ts'
import { registerLane } from '../register/register-lane.ts'
import { migrate } from '../migrate/index.ts'
import { dropParked, listParked, retryParked } from '../parked/parked.ts'
import type { Queryable } from './queryable.ts'

useLane()

/** The number of `void`, what functions have that give nothing back. */
const voidType = 2278

test('statements give rows of columns with a value and no count, and take no JSON: libraries differ in all of these', async () => {
  const types = new Set<number>()
  const texts = new Set<string>()
  const db: Queryable = {
    query: async (text, values) => {
      const result: pg.QueryResult = await lane.db.query(text, values)
      for (const { dataTypeID } of result.fields) types.add(dataTypeID)
      if (values.length > 0) texts.add(text)
      if (result.rows.length > 0) expect(result.fields).not.toEqual([])
      return { rows: result.rows }
    },
  }
  const parked = { lane: lane.id, id: 1n }
  await lane.db.query(
    `insert into outbox_parked (lane, id, message_id, exchange, routing_key, headers, payload, created_at, reason, attempts)
     select $1, id, gen_random_uuid(), '', 'any', '{}', '1', now(), 'any', 1 from generate_series(1, 2) as id`,
    [lane.id],
  )
  await db.query('begin', [])
  await migrate(db)
  await registerLane(db, 'another')
  await enqueue(db, [
    { routingKey: 'any', payload: 1, orderingKey: 'a' },
    { routingKey: 'any', payload: 2, delayMs: 1 },
  ])
  await receive(db, { consumer: 'any', messageId: crypto.randomUUID() })
  await db.query(`update inbox set received_at = now() - interval '1 hour'`, [])
  expect(await pruneInbox(db, { olderThanMs: 0 })).toBe(1)
  await listParked(db)
  expect(await retryParked(db, parked)).toBe(true)
  expect(await dropParked(db, { ...parked, id: 2n })).toBe(true)
  await db.query('rollback', [])
  for (const [index, text] of [...texts].entries()) await lane.db.query(`prepare "${index}" as ${text}`)
  const { rows } = await lane.db.query<{ type: string }>(
    'select distinct unnest(parameter_types)::text as type from pg_prepared_statements where from_sql',
  )
  expect(texts.size).toBeGreaterThan(6)
  expect([...types]).not.toContain(voidType)
  expect(rows.map(({ type }) => type).toSorted()).toEqual([
    'bigint',
    'double precision',
    'integer',
    'text',
    'text[]',
    'uuid',
  ])
})
