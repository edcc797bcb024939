import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'

/**
 * Removes hidden children that will never be accepted, of attempts that died or failed, a page at a time; returns how
 * many pages there were. One is garbage when its claim is neither the one that its job has, nor the one that is accepted,
 * which a job keeps unless it is cancelled: a claim that was given up never comes back.
 *
 * Locks: the row of the page, and then its children, which nobody else touches. Of two sweeps that meet at a page one
 * finds it gone, and leaves the others to the first.
 */
export const dropHiddenPages = async (em: EntityManager): Promise<number> => {
  for (let dropped = 0; ; dropped += 1) {
    const { rows } = await em.fork().transactional((em) => queryable(em).query(dropSql, []))
    if (rows.length === 0) return dropped
  }
}

const dropSql = `
  with garbage as (
    select page.parent_id, page.claim, page.first_item from workflow_hidden_page page
    where not exists (
      select from workflow_job job
      where job.id = page.parent_id
        and (job.claim = page.claim or job.accepted = page.claim and job.status <> 'cancelled')
    )
    limit 1
  ), dropped as (
    delete from workflow_hidden_page page using garbage
    where page.parent_id = garbage.parent_id and page.claim = garbage.claim and page.first_item = garbage.first_item
    returning page.job_ids
  ), gone as (
    delete from workflow_job job using dropped where job.id = any (dropped.job_ids) and job.status = 'hidden'
  )
  select from dropped`
