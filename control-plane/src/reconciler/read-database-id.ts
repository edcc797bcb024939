import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/** What the database is known by in a cluster. It never changes. */
export const readDatabaseId = async (em: EntityManager): Promise<string> => {
  const { rows } = await queryable(em).query('select id from workflow_database', [])
  return databaseRows.parse(rows)[0].id
}

const databaseRows = z.tuple([z.object({ id: z.uuid() })])
