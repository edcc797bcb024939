import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import type { JobOnBelt } from '../held-job.ts'
import { statusesBefore } from '../transitions.ts'

/**
 * Writes a sign of life of a job and nothing else; false when the job is another's.
 *
 * Locks: the job, by compare-and-set.
 */
export const touchJob = async (em: EntityManager, { id, seq, claim }: JobOnBelt): Promise<boolean> => {
  const { rows } = await queryable(em).query(touchSql, [id, seq, claim, statusesBefore('start')])
  return rows.length > 0
}

const touchSql = `
  update workflow_job set beat_at = now()
  where id = $1 and seq = $2 and claim = $3 and status = any ($4)
  returning id`
