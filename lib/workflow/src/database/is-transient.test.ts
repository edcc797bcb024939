import { expect, test } from 'vitest'
import { isCutShort, isSessionLost, isTransient, isTransientHere } from './is-transient.ts'

const withCode = (code: string, message = 'refused') => Object.assign(new Error(message), { code })

test.each([
  ['40P01', 'deadlock'],
  ['40001', 'serialization failure'],
  ['57P01', 'admin shutdown'],
  ['57P03', 'cannot connect now'],
  ['53300', 'too many connections'],
  ['08006', 'connection failure'],
  ['25P03', 'a session that was silent in its transaction'],
  ['25P04', 'a transaction that took too long'],
  ['ECONNREFUSED', 'refused socket'],
  ['ECONNRESET', 'reset socket'],
  ['EPIPE', 'a socket whose other end is closed'],
  ['ECONNABORTED', 'a socket that this machine has closed'],
  ['EHOSTUNREACH', 'a node that died'],
  ['EHOSTDOWN', 'a node that died, and was a neighbour'],
  ['ENETUNREACH', 'no way to the node'],
  ['ENETDOWN', 'no network here'],
])('%s (%s) may pass by itself', (code) => {
  expect(isTransient(withCode(code))).toBe(true)
})

test.each([
  ['23505', 'unique violation'],
  ['08P01', 'a parameter that is missing'],
  ['22P05', 'text that jsonb cannot hold'],
  ['42601', 'syntax error'],
  ['25006', 'a write where none is taken'],
  ['25P02', 'a transaction that is aborted'],
  ['ERR_INVALID_ARG_TYPE', 'a bug'],
])('%s (%s) comes again with the same statement', (code) => {
  expect(isTransient(withCode(code))).toBe(false)
})

test('what a pooler ends a session with may pass by itself, though it has the code of a parameter that is missing', () => {
  const ended = Object.assign(withCode('08P01', 'query_wait_timeout'), { severity: 'FATAL' })
  expect(isTransient(ended)).toBe(true)
  expect(isSessionLost(ended)).toBe(true)
  expect(isTransient(Object.assign(withCode('08P01'), { severity: 'ERROR' }))).toBe(false)
})

test.each([
  ['password authentication failed', false, false],
  ['SASL authentication failed', false, false],
  ['no such user', false, false],
  ['no such database: crm', false, false],
  ['unsupported startup parameter: options', false, false],
  ['SSL required', false, false],
  ['query_timeout', true, true],
  ['transaction_timeout', true, true],
  ['idle_transaction_timeout', true, false],
  ['no more connections allowed (max_client_conn)', true, false],
  ['server conn crashed?', true, false],
])('a pooler that ends a session with "%s": it may pass %s, it cut its work short %s', (words, passes, isCut) => {
  const ended = Object.assign(withCode('08P01', words), { severity: 'FATAL' })
  expect([isTransient(ended), isCutShort(ended)]).toEqual([passes, isCut])
})

test('what MikroORM has wrapped is looked into', () => {
  expect(isTransient(new Error('wrapped', { cause: withCode('57P01') }))).toBe(true)
  expect(isTransient(new Error('wrapped', { cause: withCode('23505') }))).toBe(false)
})

test('a socket that ended under a query may be opened again', () => {
  expect(isTransient(new Error('Connection terminated unexpectedly'))).toBe(true)
  expect(isTransient(new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNREFUSED')]))).toBe(true)
})

test('an error of ours, or no error at all, is not the link', () => {
  expect(isTransient(new TypeError('x is not a function'))).toBe(false)
  expect(isTransient('ECONNREFUSED')).toBe(false)
})

test('of our own database a server that takes no writes may pass by itself too, and nothing else does', () => {
  expect(isTransientHere(new Error('wrapped', { cause: withCode('25006') }))).toBe(true)
  expect(isTransientHere(withCode('57P01'))).toBe(true)
  expect(isTransientHere(withCode('23505'))).toBe(false)
})

test('a session is lost by an end of it, of its server or of the link, and not by another writer', () => {
  for (const code of ['57P01', '57P03', '08006', '25P03', 'ECONNRESET'])
    expect(isSessionLost(withCode(code))).toBe(true)
  for (const code of ['40001', '40P01', '55P03', '23505', '25006']) expect(isSessionLost(withCode(code))).toBe(false)
})
