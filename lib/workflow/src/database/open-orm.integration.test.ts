import { queryable } from '@esteira/outbox'
import { cloneDatabase, runOn, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { openOrm } from './open-orm.ts'

const openPool = async (poolSize: number) => {
  const database = await cloneDatabase()
  onTestFinished(database.drop)
  const orm = openOrm({ databaseUrl: database.url, poolSize, applicationName: 'pool' })
  const query = async (sql: string) => (await queryable(orm.em.fork()).query(sql, [])).rows
  // Not through MikroORM: within a transaction it would take that transaction's session, and end its own.
  const endSessions = () =>
    runOn(
      database.url,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'pool'`,
    )
  return { orm, query, endSessions, close: () => orm.close() }
}

test('a session that ends within a transaction leaves its place in the pool to the next', async () => {
  const { orm, query, endSessions, close } = await openPool(1)
  for (const _ of ['first', 'second']) {
    const broken = orm.em.fork().transactional(async (em) => {
      await queryable(em).query('select 1', [])
      await endSessions()
      await queryable(em).query('select 1', [])
    })
    await expect(broken).rejects.toThrow(/terminat|connection error/)
    expect(await query('select 1 as one')).toEqual([{ one: 1 }])
  }
  await close()
})

test('a session that ends while nobody uses it is replaced', async () => {
  const { query, endSessions, close } = await openPool(1)
  await query('select 1')
  await endSessions()
  expect(await waitFor(() => query('select 1 as one'))).toEqual([{ one: 1 }])
  await close()
})

test('a transaction that fails at its commit gives its session back', async () => {
  const { orm, query, close } = await openPool(1)
  await query(`create table checked (n int unique deferrable initially deferred)`)
  const refused = orm.em.fork().transactional(async (em) => {
    await queryable(em).query('insert into checked values (1), (1)', [])
  })
  await expect(refused).rejects.toThrow('checked_n_key')
  expect(await query('select n from checked')).toEqual([])
  await close()
})
