import { cronJobConfig, defineFunction, expecting, literalText, refuseBeside } from '@esteira/workflow'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { configCheckOf } from './check-config.ts'

const query = configCheckOf(
  defineFunction({
    name: 'Database.query',
    config: z.strictObject({
      connection: z.string(),
      sql: literalText(),
      parameters: z.array(z.unknown()).default([]),
      mode: z.enum(['rows', 'none']).default('rows'),
      batch: z.int().min(1).max(100).optional(),
    }),
    run: () => null,
  }),
)

const cronJob = configCheckOf({ name: 'CronJob', configSchema: {} })

test('a config that fits has no faults, and an expression fits everywhere but in a literal', () => {
  expect(query({ connection: 'crm', sql: 'select 1' })).toEqual([])
  expect(
    query({
      connection: '{{ payload.name }}',
      sql: 'select 1',
      batch: '{{ payload.n }}',
      parameters: ['{{ payload }}'],
    }),
  ).toEqual([])
  expect(query({ connection: 'crm', sql: 'select {{ payload.id }}' })).toEqual([
    { pointer: '/sql', message: 'takes no {{ expression }}' },
  ])
})

test('a text that is too long is refused with its place, before anything else looks at it', () => {
  // On so many characters, of which one is no single unit of UTF-16, the pattern of a literal has no stack left.
  const long = '👋{'.repeat(5_000_000)
  expect(query({ connection: 'crm', sql: long, mode: 'row', parameters: [{ deep: [1, long] }] })).toEqual([
    { pointer: '/sql', message: 'has 15,000,000 characters, and 1,048,576 are allowed' },
    { pointer: '/parameters/0/deep/1', message: 'has 15,000,000 characters, and 1,048,576 are allowed' },
  ])
  const allowed = '👋{'.repeat(2 ** 20 / 3)
  expect(query({ connection: 'crm', sql: allowed, parameters: [allowed] })).toEqual([])
})

test('every fault has its place in the config', () => {
  expect(query({ conection: 'crm', sql: 'select 1', mode: 'row', batch: 1000, parameters: 'x' })).toEqual([
    { pointer: '/connection', message: 'is missing' },
    { pointer: '/conection', message: 'is not known here, did you mean "connection"?' },
    { pointer: '/parameters', message: 'must be an array, "x" came' },
    { pointer: '/mode', message: 'must be one of "rows", "none", "row" came, did you mean "rows"?' },
    { pointer: '/batch', message: 'must be at most 100' },
  ])
})

test.each([
  [{ const: 'durable' }, 'none', 'must be "durable", "none" came'],
  [{ minimum: 1 }, 0, 'must be at least 1'],
  [{ exclusiveMinimum: 0 }, 0, 'must be more than 0'],
  [{ exclusiveMaximum: 9 }, 9, 'must be less than 9'],
  [{ minLength: 1 }, '', 'must not be empty'],
  [{ maxLength: 2 }, 'abc', 'must have at most 2 characters'],
  [{ minItems: 2 }, [], 'must have at least 2 items'],
  [{ maxItems: 2 }, [1, 2, 3], 'must have at most 2 items'],
  [{ pattern: '^a' }, 'b', 'must match ^a'],
])('what the schema %j refuses is told in the words of the API', (member, value, message) => {
  const check = configCheckOf({ name: 'Other', configSchema: { type: 'object', properties: { member } } })
  expect(check({ member: value })).toEqual([{ pointer: '/member', message }])
})

test('a field that says what it takes is told by that, and what is within it by its own place', () => {
  const either = z.union([z.int(), z.strictObject({ from: z.int() })])
  const config = z.strictObject({
    said: either.meta(expecting('must be a number, or where it is from')).optional(),
    unsaid: either.optional(),
    of: z
      .strictObject({ name: z.string().regex(/^[a-z]+$/) })
      .meta(expecting('must be an object with a name'))
      .optional(),
  })
  const check = configCheckOf(defineFunction({ name: 'Numbers.take', config, run: () => null }))
  expect(check({ said: { from: 1 }, unsaid: 1, of: { name: '{{ payload.name }}' } })).toEqual([])
  expect(check({ said: 'x' })).toEqual([{ pointer: '/said', message: 'must be a number, or where it is from' }])
  expect(check({ unsaid: 'x' })).toEqual([
    { pointer: '/unsaid', message: 'must be a whole number, "x" came' },
    { pointer: '/unsaid', message: 'must be an object, "x" came' },
  ])
  expect(check({ of: { nam: 'x' } })).toEqual([
    { pointer: '/of/name', message: 'is missing' },
    { pointer: '/of/nam', message: 'is not known here, did you mean "name"?' },
  ])
  expect(check({ of: { name: 'X' } })).toEqual([{ pointer: '/of/name', message: 'must match ^[a-z]+$' }])
})

test('a literal with names takes one of them', () => {
  const config = z.strictObject({ connection: literalText(['crm', 'erp']) })
  const check = configCheckOf(defineFunction({ name: 'Database.query', config, run: () => null }))
  const oneOf = 'must be one of "crm", "erp"'
  expect(check({ connection: 'erp' })).toEqual([])
  expect(check({ connection: 'crn' })).toEqual([
    { pointer: '/connection', message: `${oneOf}, "crn" came, did you mean "crm"?` },
  ])
  expect(check({ connection: '{{ payload.connection }}' })).toEqual([
    { pointer: '/connection', message: `${oneOf}, "{{ payload.connection }}" came` },
    { pointer: '/connection', message: 'takes no {{ expression }}' },
  ])
})

test('a value that does not go with another is refused with the reason, and an expression is left to the run', () => {
  const config = z.strictObject({ on: z.string(), mode: z.enum(['read', 'write']).optional() }).meta({
    allOf: [refuseBeside('on', ['archive', 'attic'], { mode: 'write' }, 'it is read-only')],
  })
  const check = configCheckOf(defineFunction({ name: 'Files.do', config, run: () => null }))
  expect(check({ on: 'archive', mode: 'write' })).toEqual([
    { pointer: '/mode', message: 'must not be "write": it is read-only' },
  ])
  for (const fitting of [{ on: 'attic' }, { on: 'attic', mode: '{{ payload.mode }}' }, { on: 'crm', mode: 'write' }]) {
    expect(check(fitting)).toEqual([])
  }
})

test('an expression that cannot be read is refused with its place', () => {
  const faults = query({ connection: 'crm', sql: 'select 1', parameters: ['fine', '{{ payload. }}', '{{ open'] })
  expect(faults.map(({ pointer }) => pointer)).toEqual(['/parameters/1', '/parameters/2'])
})

test('an expression that begins with nothing that is there is refused with its place', () => {
  expect(query({ connection: 'crm', sql: 'select 1', parameters: ['{{ payload.id }}', '{{ paylod.id }}'] })).toEqual([
    {
      pointer: '/parameters/1',
      message:
        '"{{ paylod.id }}": "paylod" is not known here, at character 7, did you mean "payload"? (there are payload, run, step)',
    },
  ])
})

test('a secret fits wherever a text does, but not in a literal, and a reference that is wrong is told', () => {
  const secret = { $secret: 'crm-token' }
  expect(query({ connection: secret, sql: 'select 1', parameters: ['fine', secret, { deep: secret }] })).toEqual([])
  expect(query({ connection: 'crm', sql: secret, batch: secret })).toEqual([
    { pointer: '/sql', message: 'must be a string, an object came' },
    { pointer: '/batch', message: 'must be a whole number, an object came' },
  ])
  expect(query({ connection: { $secret: '../x' }, sql: 'select 1', parameters: [{ ...secret, or: 1 }] })).toEqual([
    { pointer: '/connection', message: '$secret must be a name of letters, digits, "-", "_" and "."' },
    { pointer: '/parameters/0', message: 'must have no member beside $secret' },
  ])
})

test('a schema that cannot be compiled is told and does not break the save of others', () => {
  const broken = configCheckOf({ name: 'Broken', configSchema: { type: 'nonsense' } })
  expect(broken({})).toEqual([
    { pointer: '', message: expect.stringContaining('the schema that the worker of Broken published is broken') },
  ])
})

test('a CronJob is checked by its own schema, schedule and zone included', () => {
  expect(cronJob({ schedule: '* * * * *', payload: [1], timeZone: 'America/Sao_Paulo' })).toEqual([])
  expect(cronJob({ schedul: '* * * * *', startingDeadlineSeconds: 1 })).toEqual([
    { pointer: '/schedule', message: 'is missing, must be a string' },
    { pointer: '/startingDeadlineSeconds', message: 'must be at least 10' },
    { pointer: '/schedul', message: 'is not known here, did you mean "schedule"?' },
  ])
  expect(cronJob({ schedule: '* 25 * * *', timeZone: 'Mars' }).map(({ pointer }) => pointer)).toEqual([
    '/schedule',
    '/timeZone',
  ])
  expect(cronJob({ schedule: '@daily', overlap: 'skp' })).toEqual([
    { pointer: '/overlap', message: 'must be one of "allow", "skip", "cancel", "skp" came, did you mean "skip"?' },
  ])
})

test('how late a tick of a CronJob may begin has its bounds', () => {
  const late = (startingDeadlineSeconds: number) => cronJob({ schedule: '@daily', startingDeadlineSeconds })
  expect([late(10), late(86_400)]).toEqual([[], []])
  expect(late(9)).toEqual([{ pointer: '/startingDeadlineSeconds', message: 'must be at least 10' }])
  expect(late(86_401)).toEqual([{ pointer: '/startingDeadlineSeconds', message: 'must be at most 86400' }])
})

test('what a CronJob leaves out is as its page says', () => {
  expect(cronJobConfig.parse({ schedule: '@daily' })).toEqual({
    schedule: '@daily',
    timeZone: 'UTC',
    startingDeadlineSeconds: 120,
    suspend: false,
    overlap: 'allow',
  })
})

test('a misspelt member of a CronJob hides no fault of its schedule and zone', () => {
  expect(cronJob({ schedule: '* 25 * * *', timeZone: 'Mars', paylod: [] }).map(({ pointer }) => pointer)).toEqual([
    '/paylod',
    '/schedule',
    '/timeZone',
  ])
})

test('an empty schedule is one fault', () => {
  expect(cronJob({ schedule: '' })).toEqual([{ pointer: '/schedule', message: 'must not be empty' }])
})

test('a CronJob takes no expressions in what it needs to tick', () => {
  expect(cronJob({ schedule: '{{ payload.schedule }}' }).map(({ pointer }) => pointer)).toEqual(['/schedule'])
})
