import { optionFault } from '../option-checks.ts'
import { nameOfKind } from '../values/name-of-kind.ts'
import type { Queryable } from './queryable.ts'

/**
 * The rows that a statement gives. From JavaScript anything may come: some libraries give the list of them alone.
 *
 * @throws OutboxError `option_invalid`, and what the statement throws.
 */
export const rowsOf = async (db: Queryable, text: string, values: unknown[]): Promise<unknown[]> => {
  const answer: unknown = await db.query(text, values)
  const rows: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'rows') : undefined
  if (Array.isArray(rows)) return rows
  throw optionFault('query', `expected it to return { rows }, got ${nameOfKind(answer)}`)
}
