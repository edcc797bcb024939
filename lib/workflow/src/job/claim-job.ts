import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import { statusesBefore } from './transitions.ts'

/**
 * Takes a job over under a claim of its own, by compare-and-set, and marks it `running`; false when somebody was
 * first. From then on whoever held it before cannot write it any more. Trying again with the same `claim`, after an
 * answer that was lost, gives the same answer.
 *
 * Locks: this one job.
 */
export const claimJob = async (
  em: EntityManager,
  job: { id: string; seq: number; claim: string | null },
  claim: string,
  worker: string,
): Promise<boolean> => {
  const { rows } = await queryable(em).query(
    `update workflow_job set status = 'running', claim = $4, worker = $5, beat_at = now(),
       started_at = coalesce(started_at, clock_timestamp())
     where id = $1 and seq = $2 and (claim is not distinct from $3::uuid or claim = $4) and status = any ($6)
     returning id`,
    [job.id, job.seq, job.claim, claim, worker, statusesBefore('start')],
  )
  return rows.length === 1
}
