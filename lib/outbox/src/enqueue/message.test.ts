import { expect, test } from 'vitest'
import { checkMessage, type OutboxMessage } from './message.ts'

const nestedInLists = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth))

const check = (message: OutboxMessage) => checkMessage(message, 'message 2 of 3', 1_000)

test('a message gets an id, the default exchange and no headers unless it has its own', () => {
  const row = check({ routingKey: 'orders', payload: { id: 1 } })
  expect(row).toEqual({
    messageId: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
    exchange: '',
    routingKey: 'orders',
    orderingKey: null,
    headers: {},
    payload: '{"id":1}',
    bytes: null,
    delayMs: null,
    availableAt: null,
  })
})

test('what is given stays as it is', () => {
  const message = {
    exchange: 'events',
    routingKey: '',
    payload: null,
    headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', attempt: 2, last: false },
    messageId: '0190b1a2-7a4f-7c3e-9d1b-2f5d8e9a1c34',
    orderingKey: 'order 17',
    delayMs: 1_500,
  }
  expect(check(message)).toEqual({ ...message, payload: 'null', bytes: null, availableAt: null })
})

test('bytes are kept as bytes, up to the limit', () => {
  const row = check({ routingKey: 'orders', payload: new Uint8Array([0, 255, 16]) })
  expect(row).toMatchObject({ payload: null, bytes: '00ff10' })
  expect(() => check({ routingKey: 'orders', payload: new Uint8Array(1_001) })).toThrow(
    'payload: expected at most 1000 bytes, got 1001',
  )
})

const long = 'é'.repeat(128)
const cyclic: Record<string, unknown> = {}
cyclic.self = cyclic

test.each<[Record<string, unknown>, string]>([
  [{ routingKey: long }, 'routingKey: expected text of at most 255 bytes, got 256 bytes'],
  [{ routingKey: undefined }, 'routingKey: expected text of at most 255 bytes, got undefined'],
  [{ exchange: long }, 'exchange: expected text of at most 255 bytes, got 256 bytes'],
  [
    { routingKey: 'a\0' },
    'routingKey: expected text of at most 255 bytes, got a NUL character or half of a surrogate pair',
  ],
  [
    { routingkey: 'a' },
    'routingkey is no member of a message, which has exchange, routingKey, payload, headers, messageId, orderingKey, delayMs, availableAt',
  ],
  [{ messageId: '17' }, 'messageId: expected a UUID, got "17"'],
  [{ delayMs: -1 }, 'delayMs: expected milliseconds from 0 to 3162240000000, got -1'],
  [{ orderingKey: long }, 'orderingKey: expected text of at most 255 bytes, got 256 bytes'],
  [{ availableAt: new Date('soon') }, 'availableAt: expected a Date in the years 1 to 9999, got an invalid Date'],
  [{ availableAt: new Date(8.64e15) }, 'availableAt: expected a Date in the years 1 to 9999, got the year 275760'],
  [{ headers: new Map([['a', 'b']]) }, 'headers: expected an object, got Map'],
  [{ availableAt: new Date(), delayMs: 1 }, 'availableAt: expected either this or delayMs, got both'],
  [{ headers: null }, 'headers: expected an object, got null'],
  [{ headers: 'a' }, 'headers: expected an object, got string'],
  [{ headers: { tags: ['a'] } }, 'headers.tags: expected text, a finite number or a boolean, got array'],
  [{ headers: { tag: null } }, 'headers.tag: expected text, a finite number or a boolean, got null'],
  [{ headers: { rate: Number.NaN } }, 'headers.rate: expected text, a finite number or a boolean, got NaN'],
  [
    { headers: { at: 2 ** 50 + 0.5 } },
    'headers.at: expected a number from -2^63 on, and a whole one from 2^50 on, got 1125899906842624.5',
  ],
  [
    { headers: { least: -1e20 } },
    'headers.least: expected a number from -2^63 on, and a whole one from 2^50 on, got -100000000000000000000',
  ],
  [{ headers: JSON.parse('{"__proto__": 1}') }, 'headers.__proto__: no header can have this name'],
  [{ headers: { toJSON: () => [] } }, 'headers: expected an object of names and values, got one with a toJSON'],
  [{ headers: { CC: 'other' } }, 'headers.CC: RabbitMQ takes a list there, which a header cannot be'],
  [{ headers: { [long]: 1 } }, `headers: expected names of at most 255 bytes, got 256 bytes in "${long}"`],
  [{ headers: { note: 'x'.repeat(32_768) } }, 'headers: expected at most 32768 bytes of JSON, got 32779'],
  [{ payload: undefined }, 'payload: expected a JSON value, got undefined'],
  [{ payload: 10n }, 'payload: expected a JSON value or bytes (Uint8Array), got bigint'],
  [{ payload: { rows: [{ id: 10n }] } }, 'payload/rows/0/id: expected a JSON value, got bigint'],
  [{ payload: new Map([['a', 1]]) }, 'payload: expected a JSON value or bytes (Uint8Array), got Map'],
  [
    { payload: Object.assign(() => {}, { toJSON: () => new Map([['a', 1]]) }) },
    'payload: expected a JSON value or bytes (Uint8Array), got Map',
  ],
  [
    { payload: { list: Object.assign(() => {}, { toJSON: () => [new Set([1])] }) } },
    'payload/list/0: expected a JSON value, got Set',
  ],
  [{ payload: new ArrayBuffer(3) }, 'payload: expected a JSON value or bytes (Uint8Array), got ArrayBuffer'],
  [{ payload: new Float64Array(3) }, 'payload: expected a JSON value or bytes (Uint8Array), got Float64Array'],
  [{ payload: { 'a/b': new Set([1]) } }, 'payload/a~1b: expected a JSON value, got Set'],
  [{ payload: [new Uint8Array(3)] }, 'payload/0: expected a JSON value, got Uint8Array'],
  [{ payload: { order: Promise.resolve(1) } }, 'payload/order: expected a JSON value, got Promise'],
  [{ payload: new Error('lost') }, 'payload: expected a JSON value or bytes (Uint8Array), got Error'],
  [
    { payload: { cause: Object.assign(new TypeError('lost'), { code: 'E_LOST' }) } },
    'payload/cause: expected a JSON value, got Error',
  ],
  [{ payload: { pattern: /lost/ } }, 'payload/pattern: expected a JSON value, got RegExp'],
  [{ payload: [new Headers({ a: '1' })] }, 'payload/0: expected a JSON value, got Headers'],
  [{ payload: { query: new URLSearchParams('a=1') } }, 'payload/query: expected a JSON value, got URLSearchParams'],
  [{ payload: { file: new Blob(['lost']) } }, 'payload/file: expected a JSON value, got Blob'],
  [{ payload: { form: new FormData() } }, 'payload/form: expected a JSON value, got FormData'],
  [{ payload: { keys: new Map([['a', 1]]).keys() } }, 'payload/keys: expected a JSON value, got Map Iterator'],
  [{ headers: new Headers({ a: '1' }) }, 'headers: expected an object, got Headers'],
  [{ payload: nestedInLists(50_000) }, 'payload: expected a JSON value, got one that is nested too deeply'],
  [{ payload: 'é'.repeat(500) }, 'payload: expected at most 1000 bytes of JSON, got 1002'],
  [{ payload: { a: ['\0'] } }, 'payload/a/0: a NUL character or half of a surrogate pair, which Postgres cannot read'],
  [{ payload: '\udc00' }, 'payload: a NUL character or half of a surrogate pair, which Postgres cannot read'],
])('%o is refused with the member and what was expected', (members, fault) => {
  const message = { routingKey: 'orders', payload: 1, ...members }
  expect(() => check(message)).toThrow(
    expect.objectContaining({ code: 'message_invalid', message: `message 2 of 3: ${fault}` }),
  )
})

test.each([
  [null, 'null'],
  [undefined, 'undefined'],
  ['orders', 'string'],
  [[], 'array'],
])('%o is no message', (message, kind) => {
  // As from JavaScript, which no type keeps from it.
  expect(() => Reflect.apply(check, null, [message])).toThrow(
    expect.objectContaining({
      code: 'message_invalid',
      message: `message 2 of 3: expected an object with a routingKey and a payload, got ${kind}`,
    }),
  )
})

test('what says itself how it is written as JSON passes, and so does what is left out', () => {
  class Money {
    readonly cents = 10n
    toJSON() {
      return '0.10'
    }
  }
  const named = { toJSON: (key: string) => (key === 'named' ? key : new Map()) }
  const at = '1970-01-01T00:00:00.000Z'
  const shared = { a: undefined, b: new Date(at) }
  const { payload } = check({ routingKey: 'orders', payload: { price: new Money(), named, twice: [shared, shared] } })
  expect(payload).toBe(`{"price":"0.10","named":"named","twice":[{"b":"${at}"},{"b":"${at}"}]}`)
})

test('what has members passes whatever it is, and so does what has none and stands for a value', () => {
  class Point {
    readonly x = 1
  }
  class Nothing {
    readonly #hidden = 1
    get shown() {
      return this.#hidden
    }
  }
  class Tagged extends Point {
    readonly [Symbol.toStringTag] = 'Tagged'
  }
  class Some extends Array {}
  const values = [
    new Point(),
    new Nothing(),
    new Tagged(),
    new Some(),
    Object.create(null),
    Object(''),
    Object(0),
    Object(false),
  ]
  expect(check({ routingKey: 'orders', payload: values }).payload).toBe('[{"x":1},{},{"x":1},[],{},"",0,false]')
})

const throwing = (name: string, thrown: unknown = new Error('lost')) =>
  Object.defineProperty({}, name, {
    enumerable: true,
    get: () => {
      throw thrown
    },
  })

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const throwRevoked = (): never => {
  throw revoked()
}

const written = (by: () => unknown) => ({ toJSON: by })

const noDate = 'availableAt: expected a Date in the years 1 to 9999'
const isRevoked = /^Cannot perform '\w+' on a proxy that has been revoked$/

// As from JavaScript, which no type keeps from it.
test.each<[string, object, string, RegExp?]>([
  ['what looks like a Date', { availableAt: Object.create(Date.prototype) }, `${noDate}, got object`],
  ['a time that is no Date', { availableAt: '2026-01-01' }, `${noDate}, got string`],
  [
    'a delay that is a symbol',
    { delayMs: Symbol('soon') },
    'delayMs: expected milliseconds from 0 to 3162240000000, got symbol',
  ],
  [
    'a delay without a text',
    { delayMs: Object.create(null) },
    'delayMs: expected milliseconds from 0 to 3162240000000, got object',
  ],
  ['a delay that is a bigint', { delayMs: 5n }, 'delayMs: expected milliseconds from 0 to 3162240000000, got bigint'],
  ['an id that is a bigint', { messageId: 5n }, 'messageId: expected a UUID, got bigint'],
  ['an id that lies in itself', { messageId: cyclic }, 'messageId: expected a UUID, got object'],
  ['a member that throws', throwing('routingKey'), 'routingKey: cannot be read: lost'],
  [
    'a header that throws',
    { headers: throwing('tag') },
    'headers.tag: expected text, a finite number or a boolean, got what cannot be read: lost',
  ],
  [
    'headers of a revoked proxy',
    { headers: revoked() },
    'headers: expected an object, got what cannot be read: ',
    isRevoked,
  ],
  [
    'a payload that lies in itself',
    { payload: [{ order: cyclic }] },
    'payload/0/order/self: expected a JSON value, got a circular reference',
  ],
  [
    'a payload that throws',
    { payload: [throwing('id')] },
    'payload/0/id: expected a JSON value, got what cannot be read: lost',
  ],
  [
    'a payload that throws nothing',
    { payload: throwing('id', Object.create(null)) },
    'payload/id: expected a JSON value, got what cannot be read: object',
  ],
  ['a member that throws a revoked proxy', throwing('routingKey', revoked()), 'routingKey: cannot be read: object'],
  [
    'a payload that throws a revoked proxy',
    { payload: throwing('id', revoked()) },
    'payload/id: expected a JSON value, got what cannot be read: object',
  ],
  [
    'a header that throws a revoked proxy',
    { headers: throwing('tag', revoked()) },
    'headers.tag: expected text, a finite number or a boolean, got what cannot be read: object',
  ],
  [
    'headers whose names throw a revoked proxy',
    { headers: new Proxy({}, { ownKeys: () => throwRevoked() }) },
    'headers: expected an object, got what cannot be read: object',
  ],
  [
    'a payload of a revoked proxy',
    { payload: { order: revoked() } },
    'payload/order: expected a JSON value, got what cannot be read: ',
    isRevoked,
  ],
  [
    'a toJSON that throws',
    {
      payload: {
        price: written(() => {
          throw new Error('lost')
        }),
      },
    },
    'payload/price: expected a JSON value, got what cannot be read: lost',
  ],
  [
    'a toJSON of an invalid date',
    { payload: { at: written(() => new Date(Number.NaN).toISOString()) } },
    'payload/at: expected a JSON value, got what cannot be read: Invalid time value',
  ],
  [
    'a toJSON of a bigint',
    { payload: { price: written(() => ({ cents: 10n })) } },
    'payload/price/cents: expected a JSON value, got bigint',
  ],
  [
    'a toJSON of a map',
    { payload: { prices: written(() => new Map([['tea', 1]])) } },
    'payload/prices: expected a JSON value, got Map',
  ],
  ['a payload that is a symbol', { payload: Symbol('lost') }, 'payload: expected a JSON value, got symbol'],
])('%s is refused by the code and with its place', (_, members, fault, rest = /^$/) => {
  const message = Object.defineProperties(
    { routingKey: 'orders', payload: 1 },
    Object.getOwnPropertyDescriptors(members),
  )
  const prefix = `message 2 of 3: ${fault}`
  expect(() => check(message)).toThrow(
    expect.objectContaining({ code: 'message_invalid', message: expect.stringContaining(prefix) }),
  )
  expect(() => check(message)).toThrow(
    expect.objectContaining({ message: expect.toSatisfy((text: string) => rest.test(text.slice(prefix.length))) }),
  )
})

test('what a getter of a payload throws is the cause', () => {
  const cause = new Error('lost')
  expect(() => check({ routingKey: 'orders', payload: throwing('id', cause) })).toThrow(
    expect.objectContaining({ cause }),
  )
})

test('a revoked proxy is no message', () => {
  expect(() => Reflect.apply(check, null, [revoked()])).toThrow(
    expect.objectContaining({ code: 'message_invalid', message: expect.stringMatching('its members cannot be read') }),
  )
  expect(() => Reflect.apply(check, null, [new Proxy({}, { ownKeys: () => throwRevoked() })])).toThrow(
    expect.objectContaining({ message: expect.stringMatching('its members cannot be read: object') }),
  )
})

test('a message is read once: what was checked is what is written', () => {
  let reads = 0
  const once = (value: unknown) => ({
    enumerable: true,
    get: () => {
      reads += 1
      return reads === 1 ? value : 5n
    },
  })
  const row = check({ routingKey: 'orders', payload: 1, headers: Object.defineProperty({}, 'tag', once('a')) })
  expect(JSON.stringify(row.headers)).toBe('{"tag":"a"}')
})

test('a date of a class of its own is taken for the time that it has', () => {
  class Day extends Date {
    override toISOString = () => 'today'
  }
  const at = '2026-01-01T00:00:00.000Z'
  expect(check({ routingKey: 'orders', payload: 1, availableAt: new Day(at) }).availableAt).toBe(at)
})

test('text that only looks like an escape of NUL passes', () => {
  expect(check({ routingKey: 'orders', payload: '\\u0000' }).payload).toBe('"\\\\u0000"')
})
