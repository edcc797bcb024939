import { runOn } from './run-on.ts'

/**
 * Has a database look as if it lacked the migrations behind one, though its tables are all there. What it returns has them
 * applied, once or again.
 */
export const holdBackMigrations = async (databaseUrl: string, newest: string): Promise<() => Promise<void>> => {
  await runOn(databaseUrl, `update schema_migration set name = '0000_' || name where name > '${newest}'`)
  return async () => {
    await runOn(databaseUrl, `update schema_migration set name = substr(name, 6) where name like '0000\\_%'`)
  }
}
