import { readdirSync, readFileSync } from 'node:fs'
import { refuseOtherSql } from './other-outbox.ts'

/** One step from an empty database to the outbox's tables. */
export type Migration = {
  /** The file's name without its ending. It never changes, nor does the text once it was released. */
  name: string
  /** Several statements, to be run in one transaction. It notes its name in the table `outbox_migration`. */
  sql: string
}

/** The files of SQL in the folder, in the order of their names. An editor or a Mac may have left others there. */
export const readMigrations = (folder: URL): Migration[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.sql'))
    .toSorted()
    .map((file) => ({ name: file.replace(/\.sql$/, ''), sql: readFileSync(new URL(file, folder), 'utf8') }))

/**
 * All migrations in the order in which they are to be run, for those who run them with a tool of their own. The first one
 * fails in a database that has an outbox in another schema.
 */
export const migrations: readonly Migration[] = readMigrations(new URL('../../migrations/', import.meta.url)).map(
  ({ name, sql }, index) => ({ name, sql: index === 0 ? `${refuseOtherSql}\n${sql}` : sql }),
)
