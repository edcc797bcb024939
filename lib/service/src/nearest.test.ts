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

test.each(['DATABSE_URL', 'DATABASE_URI', 'database_url', 'URL_DATABASE', 'DATABASEURL'])(
  '%s may be meant for DATABASE_URL',
  (name) => {
    expect(misspellingOf('DATABASE_URL', ['PATH', name])).toBe(name)
  },
)

test.each(['DATABASE_HOST', 'PGHOST', 'DATABASE', 'REDIS_URL'])('%s is not meant for DATABASE_URL', (name) => {
  expect(misspellingOf('DATABASE_URL', [name])).toBeUndefined()
})
