import { randomUUID } from 'node:crypto'
import { nameOfKind } from '../values/name-of-kind.ts'
import { optionFault } from '../option-checks.ts'
import { hasMethod } from './has-method.ts'
import type { Queryable } from './queryable.ts'

/** What is needed of MikroORM's `EntityManager` on Postgres, without its types: others do not have MikroORM. */
export type EntityManagerLike = {
  isInTransaction(): boolean
  getKysely(): {
    executeQuery(query: RawQuery): Promise<{ rows: unknown[] }>
  }
}

/** What `CompiledQuery.raw` of Kysely makes. */
type RawQuery = {
  sql: string
  parameters: readonly unknown[]
  query: { kind: 'RawNode'; sqlFragments: readonly string[]; parameters: readonly never[] }
  queryId: { queryId: string }
}

/**
 * Statements with bound parameters in the transaction that the entity manager is in; outside one, each by itself on a
 * connection of the pool. Timestamps and bigints come as text, as MikroORM has its driver read them.
 *
 * MikroORM's own `execute()` writes values into the text and does not know `$1`. Its transaction is Kysely's, which
 * binds them.
 *
 * @throws OutboxError `option_invalid` for what is none.
 */
export const queryable = (em: EntityManagerLike): Queryable => {
  if (!isEntityManager(em)) throw optionFault('em', `expected an EntityManager, got ${nameOfKind(em)}`)
  return {
    query: (text, values) =>
      em.getKysely().executeQuery({
        sql: text,
        parameters: values,
        query: { kind: 'RawNode', sqlFragments: [text], parameters: [] },
        queryId: { queryId: randomUUID() },
      }),
  }
}

/** From JavaScript anything may come. */
export const isEntityManager = (tx: unknown): tx is EntityManagerLike =>
  typeof tx === 'object' && hasMethod(tx, 'getKysely')
