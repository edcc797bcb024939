import { runOn } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { dropParked, enqueue, listParked, pruneInbox, receive, registerLane, retryParked } from '../src/index.ts'
import { openControlSession } from '../src/relay/own/control-session.ts'
import { tendRegister } from '../src/relay/own/tend-register.ts'
import { database, lane, useLane, vhost } from './use-lane.ts'

useLane()

/** The database's address for a role with these rights, each a line of SQL without its end. */
const roleWith = async (...rights: string[]): Promise<string> => {
  const name = `${new URL(database.url).pathname.slice(1)}_${lane.id}`
  await lane.db.query(`create role "${name}" login password 'any'`)
  // By a session of its own: the lane's is closed by then.
  onTestFinished(async () => {
    await runOn(database.url, `drop owned by "${name}"`, `drop role "${name}"`)
  })
  for (const right of rights) await lane.db.query(`grant ${right} to "${name}"`)
  const address = new URL(database.url)
  address.username = name
  address.password = 'any'
  return address.href
}

/** Does something in a transaction of such a role. */
const as = async (rights: string[], work: (session: typeof lane.db) => Promise<unknown>): Promise<void> => {
  const name = new URL(await roleWith(...rights)).username
  await lane.db.query(`begin; set local role "${name}"`)
  await work(lane.db)
  await lane.db.query('commit')
}

// As the README has them under "What it needs".
const writer = ['insert on outbox_message', 'insert on outbox_scheduled', 'select on outbox_lane']
const registrar = [...writer, 'insert, update on outbox_lane']
const relay = [
  'select, insert, update, delete on outbox_lane',
  'select, insert, delete on outbox_message',
  'select, update, delete on outbox_scheduled',
  'select, insert on outbox_parked',
]

const message = { routingKey: 'any', payload: 1 }

test('who enqueues needs no more rights than the README names', async () => {
  await as(writer, (db) =>
    enqueue(db, [message, { ...message, orderingKey: 'a' }, { ...message, delayMs: 60_000 }], { lane: lane.id }),
  )
  expect(await lane.rows()).toBe(1)
  expect(await lane.rows('outbox_scheduled')).toBe(1)
})

test('who registers a lane of its own needs no more rights than the README names', async () => {
  await as(registrar, async (db) => {
    const id = await registerLane(db, 'of a writer')
    expect(await registerLane(db, 'of a writer')).toBe(id)
  })
})

test('who receives needs no more rights than the README names', async () => {
  const messageId = crypto.randomUUID()
  await as(['insert, select on inbox'], async (db) => {
    expect(await receive(db, { consumer: 'shipping', messageId })).toBe(true)
    expect(await receive(db, { consumer: 'shipping', messageId })).toBe(false)
  })
})

test('who prunes the inbox needs no more rights than the README names', async () => {
  await as(['select, update, delete on inbox'], (db) => pruneInbox(db, { olderThanMs: 0 }))
})

test('a relay needs no more rights than the README names', async () => {
  const databaseUrl = await roleWith(...relay)
  const relayOfRole = lane.relay({ databaseUrl, parkAfter: 1 })
  await lane.commit({ ...message, routingKey: lane.name }, { ...message, routingKey: lane.name, delayMs: 1 })
  await lane.commit({ ...message, exchange: 'amq.topic' })
  const turns = async () => {
    await relayOfRole.runOnce()
    return (await lane.rows()) + (await lane.rows('outbox_scheduled'))
  }
  await expect.poll(turns, { timeout: 20_000, interval: 50 }).toBe(0)
  expect(await lane.count(lane.name)).toBe(2)
  expect(relayOfRole.saw('relay.parked')).toHaveLength(1)
  await relayOfRole.stop({ graceMs: 0 })
  const session = await openControlSession(databaseUrl, 'tending')
  await tendRegister(session)
  await session.close()
})

const parked = () => ({ lane: lane.id, id: 1n })

type Work = (session: typeof lane.db) => Promise<unknown>

const enqueueOne: Work = (db) => enqueue(db, message, { lane: lane.id })

test.each<[string, string[], string, Work]>([
  ['enqueue', [], 'insert on outbox_message', enqueueOne],
  ['enqueue', writer.slice(0, 2), 'select on outbox_lane', enqueueOne],
  ['registerLane', [], 'select, insert, update on outbox_lane', (db) => registerLane(db, 'new')],
  [
    'receive',
    ['insert on inbox'],
    'insert, select on inbox',
    (db) => receive(db, { consumer: 'any', messageId: crypto.randomUUID() }),
  ],
  ['pruneInbox', [], 'select, update, delete on inbox', (db) => pruneInbox(db, { olderThanMs: 0 })],
  ['listParked', [], 'select on outbox_parked', (db) => listParked(db)],
  ['retryParked', ['select, delete on outbox_parked'], 'insert on outbox_message', (db) => retryParked(db, parked())],
  ['dropParked', ['select on outbox_parked'], 'select, delete on outbox_parked', (db) => dropParked(db, parked())],
])('%s with %j alone says that it needs %s, and what Postgres said', async (asker, rights, needed, work) => {
  const refused = `table ${needed.split(' on ')[1]}`
  await expect(as(rights, work)).rejects.toMatchObject({
    code: 'right_missing',
    message: `${asker}: permission denied for ${refused}; expected "grant ${needed} to" the role that does this`,
    cause: { code: '42501' },
  })
  await lane.db.query('rollback')
})

test('what row level security refuses is told as that, and not as a grant that is missing', async () => {
  await lane.db.query('alter table outbox_message enable row level security')
  onTestFinished(async () => void (await runOn(database.url, 'alter table outbox_message disable row level security')))
  const expected = 'expected no row level security, or a policy that lets the role do this'
  await expect(as(writer, enqueueOne)).rejects.toMatchObject({
    code: 'right_missing',
    message: `enqueue: new row violates row-level security policy for table "outbox_message"; ${expected}`,
  })
  await lane.db.query('rollback')
})

test('what a trigger of somebody else refuses is told in its words', async () => {
  await lane.db.query(
    `create function refuse() returns trigger language plpgsql as
     'begin raise exception ''not on Sundays'' using errcode = ''42501''; end'`,
  )
  onTestFinished(async () => void (await runOn(database.url, 'drop function refuse cascade')))
  await lane.db.query('create trigger refuse before insert on outbox_message execute function refuse()')
  await expect(as(writer, enqueueOne)).rejects.toMatchObject({
    code: 'right_missing',
    message: expect.stringMatching(/^enqueue: not on Sundays; /),
    cause: { message: 'not on Sundays' },
  })
  await lane.db.query('rollback')
})

test.each([
  ['to its lanes', relay.slice(1), 'select, insert, update, delete on outbox_lane'],
  [
    'to messages',
    relay.filter((right) => !right.endsWith('outbox_message')),
    'select, insert, delete on outbox_message',
  ],
])('a relay without a right %s names it, and goes on once it is granted', async (_, rights, needed) => {
  const databaseUrl = await roleWith(...rights)
  const relayOfRole = lane.relay({ databaseUrl })
  await lane.commit({ ...message, routingKey: lane.name })
  const started = relayOfRole.start()
  await expect
    .poll(() => relayOfRole.saw('relay.failed'), { timeout: 20_000, interval: 50 })
    .toContainEqual(
      expect.objectContaining({
        error: expect.objectContaining({ code: 'right_missing' }),
        reason: expect.stringContaining(`expected "grant ${needed} to`),
      }),
    )
  await lane.db.query(`grant ${needed} to "${new URL(databaseUrl).username}"`)
  await started
  await expect.poll(() => lane.rows(), { timeout: 20_000, interval: 50 }).toBe(0)
  await relayOfRole.stop({ graceMs: 0 })
})

test('nor to see its own session, which a role that logs in as another one may not', async () => {
  const databaseUrl = await roleWith()
  const { username: login } = new URL(databaseUrl)
  const acting = `${login}_acting`
  await lane.db.query(`create role "${acting}"`)
  onTestFinished(async () => {
    await runOn(database.url, `drop owned by "${acting}"`, `drop role "${acting}"`)
  })
  for (const right of relay) await lane.db.query(`grant ${right} to "${acting}"`)
  await lane.db.query(`grant "${acting}" to "${login}"`)
  await lane.db.query(`alter role "${login}" set role "${acting}"`)
  const relayOfRole = lane.relay({ databaseUrl })
  await lane.commit({ ...message, routingKey: lane.name })
  await relayOfRole.start()
  await expect.poll(() => lane.rows(), { timeout: 20_000, interval: 50 }).toBe(0)
  await relayOfRole.stop({ graceMs: 10_000 })
  expect(relayOfRole.saw('relay.failed')).toEqual([])
})

test('nor to notice that ids began anew', async () => {
  const relayOfRole = lane.relay({ databaseUrl: await roleWith(...relay) })
  await relayOfRole.start()
  for (const sent of [2, 4]) {
    await lane.commit({ ...message, routingKey: lane.name }, { ...message, routingKey: lane.name })
    await expect.poll(() => lane.count(lane.name), { timeout: 20_000, interval: 50 }).toBe(sent)
    await expect.poll(() => lane.isAsleep(), { timeout: 20_000, interval: 50 }).toBe(true)
    await runOn(database.url, 'truncate outbox_message restart identity')
  }
  await relayOfRole.stop({ graceMs: 0 })
})

test('one that may read the sequence of ids as well notices that they were set back', async () => {
  const relayOfRole = lane.relay({ databaseUrl: await roleWith(...relay, 'select on outbox_message_id_seq') })
  await relayOfRole.start()
  await lane.commit(...Array.from({ length: 10 }, () => ({ ...message, routingKey: lane.name })))
  await expect.poll(() => lane.count(lane.name), { timeout: 20_000, interval: 50 }).toBe(10)
  await expect.poll(() => lane.isAsleep(), { timeout: 20_000, interval: 50 }).toBe(true)
  await runOn(database.url, `select setval('outbox_message_id_seq', 1)`)
  await lane.commit({ ...message, routingKey: lane.name })
  await expect.poll(() => lane.rows(), { timeout: 20_000, interval: 50 }).toBe(0)
  expect(relayOfRole.saw('relay.lost')).toMatchObject([{ reason: expect.stringMatching('went back') }])
  await relayOfRole.stop({ graceMs: 0 })
})

test('at RabbitMQ a relay needs no more rights than the README names', async () => {
  const exchange = `${lane.name} events`
  await lane.channel.assertExchange(exchange, 'topic')
  await lane.channel.bindQueue(lane.name, exchange, '#')
  const rabbitmqUrl = await vhost.userWith({
    configure: '^outbox[.]lane[.]',
    write: `^(amq[.]default|${exchange})$`,
    read: '^$',
  })
  const relayOfUser = lane.relay({ rabbitmqUrl, adopt: true })
  await lane.commit({ ...message, routingKey: lane.name }, { ...message, exchange })
  await lane.commit({ ...message, routingKey: lane.name, orderingKey: 'a' })
  await relayOfUser.start()
  await expect.poll(() => lane.count(lane.name), { timeout: 20_000, interval: 50 }).toBe(3)
  await relayOfUser.stop({ graceMs: 10_000 })
  expect(relayOfUser.saw('relay.refused')).toEqual([])
})
