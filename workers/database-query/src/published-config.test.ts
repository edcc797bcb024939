import { expect, test } from 'vitest'
import { keepingLog } from '../test/call-query.ts'
import { openConnections } from './connections.ts'
import { databaseQuery } from './database-query.ts'

const published = (urls: ReadonlyMap<string, string>): Record<string, unknown> =>
  databaseQuery(openConnections(urls, keepingLog([]))).fn.configSchema

const connectionOf = (urls: ReadonlyMap<string, string>): unknown => Object(published(urls)['properties']).connection

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

test('it knows which of them may read only, so that a step that is to write there is refused', () => {
  const urls = new Map([
    ['crm', 'postgres://db/crm'],
    ['archive', 'postgres://db/archive?esteira_read_only=true'],
  ])
  const refused = (value: string) => expect.objectContaining({ not: { const: value } })
  expect(published(urls)['allOf']).toContainEqual({
    if: { not: { required: ['connection'], properties: { connection: { enum: ['archive'] } } } },
    else: { properties: { mode: refused('execute'), confirm: refused('none') } },
  })
})
