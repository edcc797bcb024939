import type { EntityManager } from '@mikro-orm/postgresql'
import { CompiledQuery } from 'kysely'
import type { Queryable } from './queryable.ts'

/** What is needed of MikroORM's `EntityManager` on Postgres. */
export type EntityManagerLike = Pick<EntityManager, 'isInTransaction' | 'getKysely'>

/**
 * Statements with bound parameters in the transaction that the entity manager is in; outside one, each by itself on a
 * connection of the pool. Timestamps and bigints come as text, as MikroORM has its driver read them.
 *
 * MikroORM's own `execute()` writes values into the text and does not know `$1`. Its transaction is Kysely's, which
 * binds them.
 */
export const queryable = (em: EntityManagerLike): Queryable => ({
  query: async (text, values) => {
    const { rows, numAffectedRows } = await em.getKysely<unknown>().executeQuery(CompiledQuery.raw(text, values))
    return { rows, rowCount: numAffectedRows === undefined ? rows.length : Number(numAffectedRows) }
  },
})
