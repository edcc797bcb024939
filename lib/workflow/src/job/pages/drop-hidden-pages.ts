import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/** An attempt that wrote hidden pages, by its claim on the job. */
type Attempt = { parentId: string; claim: string }

/**
 * Removes hidden children that will never be accepted, of attempts that died or failed, a page at a time; returns how
 * many pages there were. A page is garbage when its claim is neither the one that its job has, nor the one that is
 * accepted, which a job keeps until it is cancelled, or has failed in a run that is: a claim that was given up never
 * comes back. So attempts are looked at once, and what lives is not looked at again for each page that goes.
 *
 * Locks: the row of the page, and then its children, which nobody else touches. Of two sweeps that meet at a page one
 * finds it gone, and leaves the others of that attempt to the first.
 */
export const dropHiddenPages = async (em: EntityManager): Promise<number> => {
  const { rows } = await queryable(em.fork()).query(givenUpSql, [])
  let dropped = 0
  for (const attempt of attemptRows.parse(rows)) dropped += await dropPagesOf(em, attempt)
  return dropped
}

/** From the first item on, so that what was removed is not passed again either. */
const dropPagesOf = async (em: EntityManager, { parentId, claim }: Attempt): Promise<number> => {
  let from = 0
  for (let dropped = 0; ; dropped += 1) {
    const { rows } = await em.fork().transactional((em) => queryable(em).query(dropSql, [parentId, claim, from]))
    const [page] = pageRows.parse(rows)
    if (page === undefined) return dropped
    from = page.firstItem + 1
  }
}

const givenUpSql = `
  select hidden.parent_id as "parentId", hidden.claim
  from (select distinct parent_id, claim from workflow_hidden_page) hidden
  left join lateral (
    select claim, accepted,
           status = 'cancelled' or status = 'failed'
             and (select status from workflow_run where id = run_id) = 'cancelled' as is_cancelled
    from workflow_job where id = hidden.parent_id
    offset 0
  ) job on true
  where job.claim is distinct from hidden.claim
    and (job.accepted is distinct from hidden.claim or job.is_cancelled)`

const dropSql = `
  with dropped as (
    delete from workflow_hidden_page page
    where page.parent_id = $1 and page.claim = $2 and page.first_item = (
      select first_item from workflow_hidden_page
      where parent_id = $1 and claim = $2 and first_item >= $3
      order by first_item limit 1
    )
    returning page.first_item, page.job_ids
  ), gone as (
    delete from workflow_job job using dropped where job.id = any (dropped.job_ids) and job.status = 'hidden'
  )
  select first_item as "firstItem" from dropped`

const attemptRows = z.array(z.object({ parentId: z.string(), claim: z.string() }))
const pageRows = z.array(z.object({ firstItem: z.int() }))
