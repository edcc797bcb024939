import { expect, test } from 'vitest'
import { databaseNames } from './database-names.ts'

const usual = { esteira: 'esteira', crm: 'crm' }

test('a database that was given is used, and the leads go beside it', () => {
  const url = 'postgres://me:secret@db:5432/sales%20north?sslmode=disable'
  expect(databaseNames({ source: 'given', url })).toEqual({ esteira: 'sales north', crm: 'sales north_crm' })
})

test.each(['postgres://db', 'postgres://db/', 'postgres://db/postgres'])('%s gives only the server', (url) => {
  expect(databaseNames({ source: 'given', url })).toEqual(usual)
})

test('a server of our own has the usual names', () => {
  expect(databaseNames({ source: 'native', url: 'postgres://127.0.0.1:1234/anything' })).toEqual(usual)
})
