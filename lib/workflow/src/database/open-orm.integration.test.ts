import { queryable } from '@esteira/outbox'
import { cloneDatabase, runOn, startProxy, waitFor } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { isTransient } from './is-transient.ts'
import { openOrm } from './open-orm.ts'

const openPool = async (poolSize: number, setting?: string) => {
  const database = await cloneDatabase()
  onTestFinished(database.drop)
  const name = new URL(database.url).pathname.slice(1)
  if (setting !== undefined) await runOn(database.url, `alter database ${name} set ${setting}`)
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

test('a row that another has changed is looked at again, whatever isolation the database gives to others', async () => {
  const { orm, query, close } = await openPool(2, 'default_transaction_isolation = serializable')
  await query('create table counted as select 0 as n')
  await orm.em.fork().transactional(async (em) => {
    await queryable(em).query('select n from counted', [])
    await query('update counted set n = n + 1')
    await queryable(em).query('update counted set n = n + 1', [])
  })
  expect(await query('select n from counted')).toEqual([{ n: 2 }])
  await close()
})

test('times are written as ISO has them, however the database writes them for others', async () => {
  const { query, close } = await openPool(1, 'datestyle = german')
  expect(await query(`select date '2026-11-28' as day, now() as now`)).toEqual([
    { day: '2026-11-28', now: expect.stringMatching(/^\d{4}-\d\d-\d\d /) },
  ])
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

test('a server that says nothing any more is given up, within a transaction too, and found again when it speaks', async () => {
  const database = await cloneDatabase()
  const link = await startProxy(database.url)
  onTestFinished(async () => {
    await link.stop()
    await database.drop()
  })
  const orm = openOrm({ databaseUrl: link.url, poolSize: 1, applicationName: 'silence', silenceMs: 300 })
  const ask = () => queryable(orm.em.fork()).query('select 1 as one', [])
  const inTransaction = orm.em.fork().transactional(async (em) => {
    await queryable(em).query('select 1', [])
    link.pause()
    await queryable(em).query('select 1', [])
  })
  const failures = [
    await inTransaction.catch((error: unknown) => error),
    // This one finds a server that takes the connection and says nothing.
    await ask().catch((error: unknown) => error),
  ]
  for (const failure of failures) {
    expect(String(failure)).toContain('Postgres said nothing for 300 ms')
    expect(isTransient(failure)).toBe(true)
  }
  link.resume()
  expect((await ask()).rows).toEqual([{ one: 1 }])
  await orm.close()
})
