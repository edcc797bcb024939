import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'

/** Notes that a probe came out of its queue, the first time that it does. One that nobody waits for changes nothing. */
export const noteSeen = async (em: EntityManager, id: string): Promise<void> => {
  await queryable(em).query(`update workflow_probe set seen_at = clock_timestamp() where id = $1 and seen_at is null`, [
    id,
  ])
}
