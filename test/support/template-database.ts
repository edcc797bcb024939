import { hash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { escapeIdentifier } from 'pg'
import { runOn } from './run-on.ts'

const templatePrefix = 'template_'

/** Brings a database's tables up to date. */
export type Migrate = (databaseUrl: string) => Promise<void>

/** What a template is made of: folders of migrations, and what is done with their tables after, as text. */
export type Making = { migrations: readonly URL[]; after: string }

/**
 * Makes the database that `cloneDatabase` copies, unless a run that made it of the same has left it. It is made under
 * another name and renamed when it is whole. Returns its name.
 */
export const makeTemplate = async (adminUrl: string, making: Making, migrate: Migrate): Promise<string> => {
  const name = `${templatePrefix}${await hashOf(making)}`
  const unfinished = `${name}_unfinished`
  const found = await runOn(adminUrl, `select from pg_database where datname = '${name}'`)
  if (found.length > 0) return name
  await runOn(
    adminUrl,
    `drop database if exists ${escapeIdentifier(unfinished)} with (force)`,
    `create database ${escapeIdentifier(unfinished)}`,
  )
  const url = new URL(adminUrl)
  url.pathname = `/${unfinished}`
  await migrate(url.href)
  await runOn(adminUrl, `alter database ${escapeIdentifier(unfinished)} rename to ${escapeIdentifier(name)}`)
  return name
}

const hashOf = async ({ migrations, after }: Making): Promise<string> => {
  const texts = await Promise.all(migrations.map(migrationsIn))
  return hash('sha256', [...texts.flat(), after].join('\n')).slice(0, 12)
}

const migrationsIn = async (folder: URL): Promise<string[]> => {
  const names = (await readdir(folder)).filter((name) => /^\d+_.*\.sql$/.test(name)).toSorted()
  return Promise.all(names.map(async (name) => `${name}\n${await readFile(new URL(name, folder), 'utf8')}`))
}
