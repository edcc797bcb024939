import { readdir, readFile } from 'node:fs/promises'
import { freeLostClients } from '@esteira/outbox/internal/free-lost-clients'
import { migrate as migrateOutbox } from '@esteira/outbox/migrate'
import { Migration, Migrator } from '@mikro-orm/migrations'
import { MikroORM } from '@mikro-orm/postgresql'
import { MigrationError } from './errors.ts'

const folder = new URL('.', import.meta.url)
/** For a server that takes the connection and says nothing. */
const connectTimeoutMs = 10_000
const fileName = /^\d{4}_[a-z0-9_]+\.sql$/

/**
 * Brings a database up to the migrations of this code, the outbox's and then those of this folder: each file that it has
 * not seen, in one transaction for all. Calling it again, from several processes at once, or on a database that is newer than the code changes nothing more.
 *
 * @throws MigrationError or OutboxError `migration_failed` naming the file, or what the driver says when it does not come that far;
 * nothing of any file is kept then.
 */
export const migrate = async (databaseUrl: string, onApplied: (file: string) => void = () => {}): Promise<void> => {
  const orm = new MikroORM({
    clientUrl: databaseUrl,
    entities: [],
    // A misspelt name must not become a database.
    ensureDatabase: false,
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    pool: { min: 0, max: 2 },
    // MikroORM takes no more than the place from an address: TLS and other settings in it are read by pg.
    driverOptions: {
      connectionString: databaseUrl,
      application_name: 'migrate',
      connectionTimeoutMillis: connectTimeoutMs,
      // A long change says nothing until it is done, as a server does that is gone: the network is asked which it is.
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      onPoolCreated: freeLostClients,
    },
    migrations: {
      migrationsList: await migrationsOf(folder),
      tableName: 'schema_migration',
      snapshot: false,
      silent: true,
      // It would need a superuser, and our tables are made in the order of their references.
      disableForeignKeys: false,
    },
  })
  let file: string | undefined
  try {
    orm.migrator.on('migrating', ({ name }) => {
      file = name
    })
    orm.migrator.on('migrated', ({ name }) => onApplied(name))
    await orm.em.transactional(async (em) => {
      // Whoever comes second waits here. A wait for a lock, this one or a table's, is given up and tried again by the
      // caller: a change that waits for a table holds up everybody behind it.
      await em.execute(`set local lock_timeout = '10s'`)
      await em.execute(`select pg_advisory_xact_lock(hashtextextended('esteira migrations', 0))`)
      for (const name of await migrateOutbox(em)) onApplied(name)
      await orm.migrator.up({ transaction: em.getTransactionContext() })
    })
  } catch (cause) {
    if (file === undefined) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new MigrationError('migration_failed', `${file}: ${reason}`, { cause })
  } finally {
    await orm.close()
  }
}

const migrationsOf = async (directory: URL) => {
  const files = (await readdir(directory)).filter((name) => fileName.test(name)).toSorted()
  return Promise.all(files.map(async (name) => migrationOf(name, await readFile(new URL(name, directory), 'utf8'))))
}

/** MikroORM takes migrations as classes; ours differ in their text alone. */
const migrationOf = (name: string, sql: string) => ({
  name: name.replace(/\.sql$/, ''),
  class: class extends Migration {
    override up(): void {
      this.addSql(sql)
    }
  },
})
