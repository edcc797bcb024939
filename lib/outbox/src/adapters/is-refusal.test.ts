import { expect, test } from 'vitest'
import { isRefusal, refusalOf } from './is-refusal.ts'

const refusal = { code: '25P01', message: 'LOCK TABLE can only be used in transaction blocks' }

/** An error with members of its own, as those of libraries are. */
const errorWith = (members: object) => Object.assign(new Error('any'), members)

const originalOf = ({ code, message }: typeof refusal) => ({ originalCode: code, originalMessage: message })

/** As @prisma/adapter-pg 7.10 gives it, in what the client of that version makes of it for a raw query. */
const byAdapter = (cause: object) => {
  const driverAdapterError = Object.assign(new Error('any', { cause }), { name: 'DriverAdapterError' })
  return errorWith({ code: 'P2010', meta: { driverAdapterError } })
}

test.each([
  ['pg', errorWith(refusal)],
  ['Drizzle, around that of pg', new Error('Failed query', { cause: errorWith(refusal) })],
  ['Prisma 7, by its adapter', byAdapter({ kind: 'postgres', severity: 'ERROR', ...originalOf(refusal), ...refusal })],
  ['Prisma 6, by its engine', errorWith({ code: 'P2010', meta: refusal })],
])('a refusal of Postgres is known by its code, in an error of %s', (_, error) => {
  expect(isRefusal(error, '25P01')).toBe(true)
  expect(isRefusal(error, '23502')).toBe(false)
  expect(refusalOf(error, '25P01')).toEqual({ words: refusal.message, routine: null })
  expect(refusalOf(error, '23502')).toBe(null)
})

test('a refusal for another column, and what is no refusal, are none', () => {
  for (const name of ['column', 'column_name']) {
    const error = errorWith({ code: '23502', [name]: 'lane' })
    expect(isRefusal(error, '23502', 'lane')).toBe(true)
    expect(isRefusal(error, '23502', 'payload')).toBe(false)
  }
  for (const other of [null, undefined, '25P01', new Error('25P01')]) expect(isRefusal(other, '25P01')).toBe(false)
})

test('of a column that Prisma 7 leaves out the message of Postgres tells', () => {
  const error = byAdapter({
    originalCode: '23502',
    originalMessage: 'null value in column "lane" of relation "outbox_message" violates not-null constraint',
    kind: 'NullConstraintViolation',
    constraint: undefined,
  })
  expect(isRefusal(error, '23502')).toBe(true)
  expect(isRefusal(error, '23502', 'lane')).toBe(true)
  expect(isRefusal(error, '23502', 'payload')).toBe(false)
})

test.each([
  ['pg', (message: string, constraint: string) => errorWith({ code: '23505', message, constraint })],
  ['postgres.js', (message: string, name: string) => errorWith({ code: '23505', message, constraint_name: name })],
  [
    'Prisma 7',
    (message: string) => byAdapter({ ...originalOf({ code: '23505', message }), constraint: { fields: [] } }),
  ],
  ['Prisma 6', (message: string) => errorWith({ code: 'P2010', meta: { code: '23505', message } })],
  [
    'MikroORM, with the statement',
    (message: string, constraint: string) =>
      errorWith({ code: '23505', message: `insert into any (outbox_message_pkey) - ${message}`, constraint }),
  ],
])('a constraint is told from others in an error of %s', (_, errorFor) => {
  const violated = (name: string) => errorFor(`duplicate key value violates unique constraint "${name}"`, name)
  expect(isRefusal(violated('outbox_message_pkey'), '23505', 'outbox_message_pkey')).toBe(true)
  expect(isRefusal(violated('outbox_message_pkey_2'), '23505', 'outbox_message_pkey')).toBe(false)
  expect(isRefusal(violated('outbox_message_pkey'), '23503', 'outbox_message_pkey')).toBe(false)
})
