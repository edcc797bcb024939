import { cloneDatabase, emptyDatabase, holdBackMigrations, runOn } from '@esteira/test/support'
import { expect, onTestFinished, test } from 'vitest'
import { expectMigrated, neededMigration } from './expect-migrated.ts'
import { openOrm } from './open-orm.ts'

const look = async ({ url }: { url: string }): Promise<void> => {
  const orm = openOrm({ databaseUrl: url, poolSize: 1, applicationName: 'test' })
  try {
    await expectMigrated(orm.em.fork())
  } finally {
    await orm.close()
  }
}

test('a database with all migrations of this version is taken, also one that has later ones', async () => {
  const database = await cloneDatabase()
  onTestFinished(database.drop)
  await look(database)
  await runOn(database.url, `insert into schema_migration (name) values ('9999_of_the_next_release')`)
  await look(database)
})

test('one that lacks the newest migration is refused, and told which it has', async () => {
  const database = await cloneDatabase()
  onTestFinished(database.drop)
  const migrate = await holdBackMigrations(database.url, '0013_cron_job')
  await expect(look(database)).rejects.toMatchObject({
    code: 'database_behind',
    final: false,
    message: expect.stringContaining(`is at migration 0013_cron_job, this version needs ${neededMigration}`),
  })
  await migrate()
  await look(database)
})

test('one without tables is refused as well', async () => {
  const database = await emptyDatabase()
  onTestFinished(database.drop)
  await expect(look(database)).rejects.toMatchObject({
    code: 'database_behind',
    message: expect.stringContaining('no tables yet'),
  })
})
