import { cloneDatabase } from '@esteira/test/support'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { pruneInbox, receive } from './inbox.ts'

let database: Awaited<ReturnType<typeof cloneDatabase>>
let first: pg.Client
let second: pg.Client
beforeAll(async () => {
  database = await cloneDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  first = new pg.Client(database.url)
  second = new pg.Client(database.url)
  await Promise.all([first.connect(), second.connect()])
})
afterEach(() => Promise.all([first.end(), second.end()]))

const delivery = (consumer = 'billing') => ({ consumer, messageId: crypto.randomUUID() })

test('a message is new once for each consumer', async () => {
  const message = delivery()
  await first.query('begin')
  expect(await receive(first, message)).toBe(true)
  expect(await receive(first, message)).toBe(false)
  expect(await receive(first, { ...message, consumer: 'stock' })).toBe(true)
  await first.query('commit')
  await second.query('begin')
  expect(await receive(second, message)).toBe(false)
  await second.query('rollback')
})

test('what was rolled back was not received', async () => {
  const message = delivery()
  await first.query('begin')
  expect(await receive(first, message)).toBe(true)
  await second.query('begin')
  const meanwhile = receive(second, message)
  await first.query('rollback')
  expect(await meanwhile).toBe(true)
  await second.query('commit')
})

test('outside a transaction nothing is noted', async () => {
  const refused = expect.objectContaining({ code: 'not_in_transaction', message: expect.stringContaining('receive') })
  await expect(receive(first, delivery())).rejects.toThrow(refused)
})

test('notes are pruned by age, a bounded number at a time', async () => {
  await first.query('truncate inbox')
  await first.query('begin')
  for (let count = 0; count < 5; count += 1) await receive(first, delivery())
  await first.query('commit')
  await first.query(`update inbox set received_at = now() - interval '2 hours'`)
  await first.query('begin')
  await receive(first, delivery('young'))
  await first.query('commit')
  expect(await pruneInbox(second, { olderThanMs: 3_600_000, limit: 3 })).toBe(3)
  expect(await pruneInbox(second, { olderThanMs: 3_600_000, limit: 3 })).toBe(2)
  expect(await pruneInbox(second, { olderThanMs: 3_600_000 })).toBe(0)
  expect((await first.query('select consumer from inbox')).rows).toEqual([{ consumer: 'young' }])
})
