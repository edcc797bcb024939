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

test.each([
  ['inser', 'insert'],
  ['wran', 'warn'],
  ['crn', 'crm'],
  ['Multiple', 'multiple'],
  ['conifg', 'config'],
  ['time_zone', 'timeZone'],
  ['RdStation.getLead', 'RdStation.getLeads'],
  ['ESTEIRA_LOG_LVL', 'ESTEIRA_LOG_LEVEL'],
])('%s gets the hint %s', (name, known) => {
  expect(didYouMean(name, ['something else', known])).toBe(`, did you mean "${known}"?`)
})

test.each([
  ['x', 'y'],
  ['erp', 'crm'],
  ['array', 'multiple'],
  ['insert', 'select'],
  ['RDSTATION_TIMEOUT', 'RDSTATION_PORT'],
  ['RDSTATION_TOKEN', 'RDSTATION_PORT'],
  ['Database.insert', 'Database.query'],
])('%s resembles %s too little for a hint', (name, known) => {
  expect(didYouMean(name, [known])).toBe('')
})

test('where nothing is known there is no hint', () => {
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
