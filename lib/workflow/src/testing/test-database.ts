import { randomBytes } from 'node:crypto'
import { migrate } from '@esteira/migrations/migrate'
import { queryable } from '@esteira/outbox'
import { openOrm } from '../database/open-orm.ts'

/** Makes a database on a server, with the tables of Esteira, for one test. `drop` ends whatever still uses it. */
export const makeTestDatabase = async (serverUrl: string): Promise<{ url: string; drop: () => Promise<void> }> => {
  const name = `esteira_test_${randomBytes(6).toString('hex')}`
  await onServer(serverUrl, `create database ${name}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const drop = () => onServer(serverUrl, `drop database if exists ${name} with (force)`)
  try {
    await migrate(url.href)
  } catch (error) {
    await drop()
    throw error
  }
  return { url: url.href, drop }
}

const onServer = async (databaseUrl: string, sql: string): Promise<void> => {
  const orm = openOrm({ databaseUrl, poolSize: 1, applicationName: 'testbed' })
  try {
    await queryable(orm.em.fork()).query(sql, [])
  } finally {
    await orm.close()
  }
}
