import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/**
 * Ends a session of the same user, whatever it is doing, its transaction with it. Null when the server has it still,
 * else what tells that it was lost before: it is gone, or Postgres does not answer, which gives it up by itself then,
 * when its own timeouts say so.
 */
export const endSession = async (em: EntityManager, pid: number): Promise<Error | null> => {
  try {
    const { rows } = await queryable(em).query('select pg_terminate_backend($1) as "isThere"', [pid])
    if (endedRows.parse(rows)[0].isThere) return null
    return Object.assign(new Error('the session of the unit of work is gone'), { code: connectionDoesNotExist })
  } catch (error) {
    return error instanceof Error ? error : new Error('the session cannot be ended', { cause: error })
  }
}

const connectionDoesNotExist = '08003'

const endedRows = z.tuple([z.object({ isThere: z.boolean() })])
