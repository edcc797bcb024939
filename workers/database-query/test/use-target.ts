import { emptyDatabase, type Proxy, startProxy, type TestDatabase } from '@esteira/test/support'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { type Connections, openConnections } from '../src/connections.ts'
import { databaseQuery, type DatabaseQuery } from '../src/database-query.ts'
import { callQuery, keepingLog, type QueryConfig } from './call-query.ts'

/** The target database of the file, a way to it that can break, and a session that looks into it. */
export let target: TestDatabase
export let link: Proxy
export let admin: Client

/** The connections of the file; the function of the test, and what it logged. */
export let connections: Connections
export let query: DatabaseQuery
export const logged: Record<string, unknown>[] = []
export const log = keepingLog(logged)

/** Calls the function as the worker does. */
export const call = (config: QueryConfig, of?: Parameters<typeof callQuery>[3]) => callQuery(query, log, config, of)

/**
 * Gives a test file a target database, made by `sql`, whose table `lead` is empty for each test. Its connections are
 * `crm`, `far` behind the link, and what `others` makes of the target's address.
 */
export const useTarget = (sql: string, others: Record<string, (address: URL) => void>): void => {
  beforeAll(async () => {
    target = await emptyDatabase()
    link = await startProxy(target.url)
    admin = new Client(target.url)
    await admin.connect()
    await admin.query(sql)
    const made = Object.entries(others).map(([name, change]) => {
      const address = new URL(target.url)
      change(address)
      return [name, address.href] as const
    })
    connections = openConnections(new Map([['crm', target.url], ['far', link.url], ...made]), log)
  })
  beforeEach(async () => {
    logged.length = 0
    query = databaseQuery(connections)
    await admin.query('truncate lead')
  })
  afterAll(async () => {
    await connections.close()
    await admin.end()
    await link.stop()
    await target.drop()
  })
}
