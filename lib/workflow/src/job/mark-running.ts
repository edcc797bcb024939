import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { JobOnBelt } from './held-job.ts'
import { statusesBefore } from './transitions.ts'

/**
 * Marks a job `running`, so that people see it, for a worker that is about to hold its row in a transaction of its own:
 * from then on nobody can. It takes nothing over, and one that is another's by now, or is locked, stays as it is: what
 * counts is the compare-and-set of that transaction.
 *
 * Locks: this one job, unless somebody has it.
 */
export const markRunning = async (em: EntityManager, { id, seq, claim }: JobOnBelt, worker: string): Promise<void> => {
  await queryable(em).query(markSql, [id, seq, claim, statusesBefore('start'), worker])
}

const markSql = `
  with free as (
    select id from workflow_job
    where id = $1 and seq = $2 and claim is not distinct from $3::uuid and status = any ($4)
    for no key update skip locked
  )
  update workflow_job job set
    status = 'running',
    worker = $5,
    beat_at = now(),
    started_at = coalesce(job.started_at, clock_timestamp())
  from free where job.id = free.id`
