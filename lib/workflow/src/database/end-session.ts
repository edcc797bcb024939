import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'

/**
 * Ends a session of the same user, whatever it is doing, its transaction with it. One that cannot be ended, since Postgres
 * does not answer, is given up by the server when its own timeouts say so.
 */
export const endSession = async (em: EntityManager, pid: number): Promise<void> => {
  try {
    await queryable(em).query('select pg_terminate_backend($1)', [pid])
  } catch {
    // Whoever waits for it goes on without.
  }
}
