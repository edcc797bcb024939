import pg from 'pg'
import { expect, test } from 'vitest'
import { dropParked, enqueue, listParked, pruneInbox, queryable, receive, registerLane, retryParked } from './index.ts'
import { migrate } from './migrate/index.ts'
import { createRelay } from './relay/index.ts'

/** Never connected: what is refused here reaches no database. */
const db = new pg.Client()
const em = { isInTransaction: () => true, getKysely: () => db }
const message = { routingKey: 'orders', payload: 1 }
const messageId = '0190b1a2-7a4f-7c3e-9d1b-2f5d8e9a1c34'
const relay = createRelay({ databaseUrl: 'postgres://localhost/app', rabbitmqUrl: 'amqp://localhost', lane: 'web-1' })

// As from JavaScript, which no type keeps from it.
const refusal = async (called: (...given: never[]) => unknown, given: readonly unknown[]): Promise<unknown> => {
  try {
    return await Reflect.apply(called, null, given)
  } catch (error) {
    return error
  }
}

const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()

const query = 'what has query(text, values)'

test.each<[string, (...given: never[]) => unknown, unknown[], string]>([
  ['enqueue', enqueue, [null, message], `tx: expected an EntityManager or ${query}, got null`],
  ['enqueue', enqueue, [message, db], `tx: expected an EntityManager or ${query}, got object`],
  ['enqueue', enqueue, [db, message, Promise.resolve({ lane: 2 })], 'options: expected an object, got Promise'],
  [
    'enqueue',
    enqueue,
    [db, message, Object.assign(Promise.resolve(), { lane: 2 })],
    'options: expected an object, got Promise',
  ],
  ['enqueue', enqueue, [db, message, Object(2)], 'options: expected an object, got Number'],
  ['listParked', listParked, [db, new Map()], 'options: expected an object, got Map'],
  ['start', relay.start, [{ signal: {} }], 'signal: expected an AbortSignal, got object'],
  [
    'enqueue',
    enqueue,
    [db, message, revoked],
    "options: expected an object, got what cannot be read: Cannot perform 'getPrototypeOf' on a proxy that has been revoked",
  ],
  ['enqueue', enqueue, [revoked, message], `tx: expected an EntityManager or ${query}, got object`],
  ['listParked', listParked, [revoked], `db: expected ${query}, got object`],
  [
    'dropParked',
    dropParked,
    [db, revoked],
    "parked: expected an object, got what cannot be read: Cannot perform 'get' on a proxy that has been revoked",
  ],
  ['start', relay.start, [{ signal: revoked }], 'signal: expected an AbortSignal, got object'],
  ['enqueue', enqueue, [db, message, { lanes: 2 }], 'lanes: enqueue has no such option, did you mean "lane"?'],
  [
    'receive',
    receive,
    [undefined, { consumer: 'a', messageId }],
    `tx: expected an EntityManager or ${query}, got undefined`,
  ],
  ['receive', receive, [db], 'options: expected an object, got undefined'],
  ['receive', receive, [db, { messageId }], 'consumer: expected text, got undefined'],
  ['receive', receive, [db, { consumer: '', messageId }], 'consumer: expected a name of 1 to 255 characters, got 0'],
  [
    'receive',
    receive,
    [db, { consumer: 'a\0', messageId }],
    'consumer: got a NUL character or half of a surrogate pair',
  ],
  [
    'receive',
    receive,
    [db, { consumer: 'a', messageID: messageId }],
    'messageID: receive has no such option, did you mean "messageId"?',
  ],
  ['pruneInbox', pruneInbox, [null, { olderThanMs: 1 }], `db: expected ${query}, got null`],
  ['pruneInbox', pruneInbox, [db], 'options: expected an object, got undefined'],
  [
    'pruneInbox',
    pruneInbox,
    [db, { olderThan: 5 }],
    'olderThan: pruneInbox has no such option, did you mean "olderThanMs"?',
  ],
  ['pruneInbox', pruneInbox, [db, {}], 'olderThanMs: expected milliseconds from 0 to 31622400000000, got undefined'],
  [
    'pruneInbox',
    pruneInbox,
    [db, { olderThanMs: -5 }],
    'olderThanMs: expected milliseconds from 0 to 31622400000000, got -5',
  ],
  [
    'pruneInbox',
    pruneInbox,
    [db, { olderThanMs: 5, limit: '9' }],
    'limit: expected a whole number from 1 to 2147483647, got string',
  ],
  [
    'registerLane',
    registerLane,
    [em, 'web-1'],
    `db: expected ${query}, got an EntityManager, of which queryable(em) makes that`,
  ],
  ['queryable', queryable, [db], 'em: expected an EntityManager, got object'],
  ['listParked', listParked, ['postgres://localhost'], `db: expected ${query}, got string`],
  ['listParked', listParked, [db, { limits: 5 }], 'limits: listParked has no such option, did you mean "limit"?'],
  ['listParked', listParked, [db, { limit: 0.5 }], 'limit: expected a whole number from 1 to 2147483647, got 0.5'],
  ['listParked', listParked, [db, { after: 7n }], 'after: expected an object, got bigint'],
  ['retryParked', retryParked, [db], 'parked: expected an object, got undefined'],
  [
    'retryParked',
    retryParked,
    [db, { id: 7n }],
    'parked.lane: expected a whole number from 0 to 2147483647, got undefined',
  ],
  ['retryParked', retryParked, [db, { lane: 1, id: '7' }], 'parked.id: expected a bigint, got string'],
  ['dropParked', dropParked, [db, { lane: 1, id: 2n ** 63n }], 'parked.id: expected the id of a parked message'],
  ['dropParked', dropParked, [null, { lane: 1, id: 7n }], `db: expected ${query}, got null`],
  ['migrate', migrate, [], `tx: expected an EntityManager or ${query}, got undefined`],
  ['createRelay', createRelay, [], 'options: expected an object, got undefined'],
  ['start', relay.start, [{ signals: 1 }], 'signals: start has no such option, did you mean "signal"?'],
  ['stop', relay.stop, [], 'options: expected an object, got undefined'],
  ['stop', relay.stop, [{ graceMs: -1 }], 'graceMs: expected milliseconds, got -1'],
  ['stop', relay.stop, [{ graceMs: Number.NaN }], 'graceMs: expected milliseconds, got NaN'],
])('%s refuses what it cannot take, with what it expected: %#', async (_, called, given, text) => {
  expect(await refusal(called, given)).toMatchObject({ name: 'OutboxError', code: 'option_invalid', message: text })
})

test('a client that can be called is one all the same', async () => {
  const callable = Object.assign(() => {}, { query: async () => ({ rows: [{ pruned: 3 }] }) })
  expect(await pruneInbox(callable, { olderThanMs: 0 })).toBe(3)
})

test.each<[string, (...given: never[]) => unknown, unknown[]]>([
  ['receive', receive, [{ consumer: 'billing', messageId }]],
  ['pruneInbox', pruneInbox, [{ olderThanMs: 1 }]],
  ['listParked', listParked, []],
  ['retryParked', retryParked, [{ lane: 1, id: 7n }]],
  ['dropParked', dropParked, [{ lane: 1, id: 7n }]],
  ['registerLane', registerLane, ['web-1']],
  ['migrate', migrate, []],
])(
  '%s refuses a client that gives the list of the rows alone, as that of postgres.js does',
  async (_, called, given) => {
    const listing = { query: async () => [] }
    const text = 'query: expected it to return { rows }, got array'
    expect(await refusal(called, [listing, ...given])).toMatchObject({ code: 'option_invalid', message: text })
  },
)

test.each([
  [undefined, 'name: expected text, got undefined'],
  [7, 'name: expected text, got number'],
  ['', 'name: expected a name of 1 to 253 characters, got 0'],
  ['x'.repeat(254), 'name: expected a name of 1 to 253 characters, got 254'],
  ['a\0', 'name: got a NUL character or half of a surrogate pair'],
])('the name %o is refused for a lane', async (name, text) => {
  expect(await refusal(registerLane, [db, name])).toMatchObject({ code: 'lane_invalid', message: text })
})

test.each([
  ['order-17', 'messageId: expected a UUID, got "order-17"'],
  [undefined, 'messageId: expected a UUID, got undefined'],
])(
  'a delivery whose id is %o is refused, by a code of its own: other publishers have what ids they like',
  async (id, text) => {
    const given = { consumer: 'billing', messageId: id }
    expect(await refusal(receive, [db, given])).toMatchObject({ code: 'message_invalid', message: text })
  },
)
