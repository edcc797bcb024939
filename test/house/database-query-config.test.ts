import { createLog } from '@esteira/service'
import { beforeAll, expect, test } from 'vitest'
import { configCheckOf } from '../../control-plane/src/workflows/check-config.ts'
import { loadSql } from '../../lib/sql/src/index.ts'
import { openConnections } from '../../workers/database-query/src/connections.ts'
import { databaseQuery } from '../../workers/database-query/src/database-query.ts'

const addresses = new Map([
  ['crm', 'postgres://db/crm'],
  ['archive', 'postgres://db/archive?esteira_read_only=true'],
])
const faultsOf = configCheckOf(databaseQuery(openConnections(addresses, createLog('test', 'error'))).fn)

beforeAll(loadSql)

const reading = { connection: 'archive', sql: 'select 1' }
const writing = { connection: 'crm', sql: 'insert into lead values ($1)', params: ['{{ payload.id }}'] }

test.each([
  [reading],
  [{ ...reading, mode: 'query', confirm: 'applied' }],
  [{ ...reading, mode: '{{ payload.mode }}', confirm: '{{ payload.confirm }}' }],
  [writing],
  [{ ...writing, mode: 'execute', confirm: 'none' }],
  [{ ...writing, confirm: 'none' }],
  [{ connection: 'crm', sql: 'select forget(7)', mode: 'execute', confirm: 'none' }],
  [{ connection: 'crm', sql: 'select 1', confirm: '{{ payload.confirm }}' }],
])('a step of Database.query is taken when it is saved: %j', (config) => {
  expect(faultsOf(config)).toEqual([])
})

test.each([
  [{ ...reading, mode: 'execute' }, '/mode', 'must not be "execute": the connection is read-only'],
  [{ ...reading, confirm: 'none' }, '/confirm', 'must not be "none": the connection is read-only'],
  [
    { ...writing, mode: 'query', confirm: 'none' },
    '/confirm',
    'must not be "none": it is for what may write, and config.mode is "query"',
  ],
  [
    { connection: 'crm', sql: 'select email from lead where id = :id', params: '{{ payload }}', confirm: 'none' },
    '/confirm',
    'must not be "none": it is for what may write, and config.sql only reads: leave config.confirm out, or set config.mode ' +
      'to "execute" if a function in it writes',
  ],
  [
    { ...reading, params: 7 },
    '/params',
    'must be a list of the values of $1, $2 ..., or an object with those of each :name',
  ],
  [
    { ...reading, connection: 'archiv' },
    '/connection',
    'must be one of "crm", "archive", "archiv" came, did you mean "archive"?',
  ],
])('a step that does not fit its connection is refused then: %j', (config, pointer, message) => {
  expect(faultsOf(config)).toEqual([{ pointer, message }])
})
