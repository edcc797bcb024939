import { expect, test } from 'vitest'
import { keepingLog } from '../test/call-query.ts'
import { openConnections } from './connections.ts'
import { databaseQuery } from './database-query.ts'

const connectionOf = (urls: ReadonlyMap<string, string>): unknown => {
  const log = keepingLog([])
  const { configSchema } = databaseQuery(openConnections(urls, log)).fn
  return Object(configSchema['properties']).connection
}

test('the schema that the worker publishes knows its connections, so that a step with another is refused', () => {
  const urls = new Map([
    ['crm', 'postgres://db/crm'],
    ['erp', 'postgres://db/erp'],
  ])
  expect(connectionOf(urls)).toMatchObject({ enum: ['crm', 'erp'], 'x-esteira-literal': true })
})

test('a worker without connections publishes none: it may be given some later', () => {
  expect(connectionOf(new Map())).not.toHaveProperty('enum')
})
