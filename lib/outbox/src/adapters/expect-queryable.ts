import { nameOfKind } from '../values/name-of-kind.ts'
import { optionFault } from '../option-checks.ts'
import { hasMethod } from './has-method.ts'
import { isEntityManager } from './mikro-orm.ts'

/**
 * What runs the statements of a function that needs no transaction. From JavaScript anything may come.
 *
 * @throws OutboxError `option_invalid`.
 */
export const expectQueryable = (db: unknown): void => {
  if (isQueryable(db)) return
  const got = isEntityManager(db) ? 'an EntityManager, of which queryable(em) makes that' : nameOfKind(db)
  throw optionFault('db', `expected what has query(text, values), got ${got}`)
}

/** The same for one that needs a transaction, and takes an EntityManager as well. */
export const expectTransaction = (tx: unknown): void => {
  if (isEntityManager(tx) || isQueryable(tx)) return
  throw optionFault('tx', `expected an EntityManager or what has query(text, values), got ${nameOfKind(tx)}`)
}

/** It may be a function, too: a client that can be called, as tagged templates are, with members beside that. */
const isQueryable = (db: unknown): boolean => hasMethod(db, 'query')
