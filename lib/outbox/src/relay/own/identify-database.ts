import { readColumns } from '../../read-columns.ts'
import type { ControlSession } from './control-session.ts'

/**
 * Tells this database apart from every other one, also from its own copies: by the identifier that its server drew at
 * initdb, and its number there. A replica that takes over is the same database.
 */
export const identifyDatabase = async (session: ControlSession): Promise<string> => {
  const { rows } = await session.query(identifyDatabaseSql, [])
  return readColumns(rows[0], 'the identity of the database', { identity: 'string' }).identity
}

const identifyDatabaseSql = {
  text: `
    select system_identifier || '.' || pg_database.oid as identity
    from pg_control_system(), pg_database where datname = current_database()`,
}
