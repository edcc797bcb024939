import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/** So many at a time: a transaction of a million deletes would keep all that others delete meanwhile. */
const batch = 10_000

/**
 * Forgets the keys of the items of jobs that give no more: that are over, and are not sent again. Returns how many there
 * were. A job that failed keeps its keys, for it goes on behind its cursor when it is sent again, unless its run was
 * cancelled.
 *
 * Locks: the keys only, which nobody else touches by then. Of two sweeps that meet the second finds them gone.
 */
export const dropItemKeys = async (em: EntityManager): Promise<number> => {
  for (let dropped = 0; ;) {
    const { rows } = await em.fork().transactional((em) => queryable(em).query(dropSql, [batch]))
    const [{ keys }] = droppedRows.parse(rows)
    if (keys === 0) return dropped
    dropped += keys
  }
}

// The jobs that have keys are found one by one in the index, not by a look at all keys.
const dropSql = `
  with recursive parent(id) as (
    (select parent_id from workflow_item_key order by parent_id limit 1)
    union all
    select (select parent_id from workflow_item_key where parent_id > parent.id order by parent_id limit 1)
    from parent where parent.id is not null
  ), over as (
    select parent.id from parent
    left join workflow_job job using (id) left join workflow_run run on run.id = job.run_id
    where parent.id is not null
      and (job.id is null or job.status in ('succeeded', 'cancelled') or job.status = 'failed' and run.status = 'cancelled')
    limit 1
  ), dropped as (
    delete from workflow_item_key where (parent_id, key) in (
      select parent_id, key from workflow_item_key where parent_id = (select id from over) limit $1
    )
    returning key
  )
  select count(*)::int as keys from dropped`

const droppedRows = z.tuple([z.object({ keys: z.int() })])
