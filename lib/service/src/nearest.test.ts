import { expect, test } from 'vitest'
import { didYouMean, misspellingOf, nearest } from './nearest.ts'

test('of names that are as near, the one that begins alike is nearest, wherever it stands', () => {
  expect(nearest('leed', ['keep', 'leads'])).toBe('leads')
  expect(nearest('leed', ['leads', 'keep'])).toBe('leads')
  expect(nearest('keed', ['leads', 'keep'])).toBe('keep')
})

test('the case of letters does not hide a name', () => {
  expect(nearest('DATABASE.QUERY', ['RD.leads', 'Database.query'])).toBe('Database.query')
})

test('a name that resembles none gets no hint', () => {
  expect(didYouMean('inser', ['insert', 'select'])).toBe(', did you mean "insert"?')
  expect(didYouMean('x', ['insert', 'select'])).toBe('')
  expect(didYouMean('x', [])).toBe('')
})

test.each([
  ['DATABSE_URL', 'DATABASE_URL'],
  ['DATABASE_URI', 'DATABASE_URL'],
  ['database_url', 'DATABASE_URL'],
  ['URL_DATABASE', 'DATABASE_URL'],
  ['DATABASEURL', 'DATABASE_URL'],
  ['RABBIT_URL', 'RABBITMQ_URL'],
  ['RABBITMQ_ULR', 'RABBITMQ_URL'],
])('%s may be meant for %s', (name, wanted) => {
  expect(misspellingOf(wanted, ['PATH', name])).toBe(name)
})

test.each([
  ['DATABASE_HOST', 'DATABASE_URL'],
  ['PGHOST', 'DATABASE_URL'],
  ['DATABASE', 'DATABASE_URL'],
  ['DATABASE_URL_OLD', 'DATABASE_URL'],
  ['DATABASE_URL_2', 'DATABASE_URL'],
  ['A_DATABASE_URL', 'DATABASE_URL'],
  ['POSTGRES_URL', 'DATABASE_URL'],
  ['REDIS_URL', 'DATABASE_URL'],
  ['RABBITMQ_NODENAME', 'RABBITMQ_URL'],
  ['RABBITMQ_PORT', 'RABBITMQ_URL'],
])('%s is not meant for %s', (name, wanted) => {
  expect(misspellingOf(wanted, [name])).toBeUndefined()
})
