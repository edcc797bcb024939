import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import { isCutShort } from '../../database/is-transient.ts'
import { WorkflowError } from '../../errors.ts'
import type { JobOnBelt } from '../held-job.ts'

/**
 * Takes what a unit of work locks of jobs and their runs before it writes anything, for one that is to show whether what
 * it writes is too much for Postgres: behind this it waits for nobody.
 *
 * Locks: the tables that a unit of work writes to, as it locks them anyway, which a migration or an index that is made may
 * have; the jobs; and then the counters of their runs, as every unit of work does. It holds the counters for as long as the
 * unit takes, so it is for the few that were given up before.
 *
 * @throws WorkflowError `held_up` when Postgres gave up the wait.
 */
export const lockFirst = async (em: EntityManager, jobs: readonly Pick<JobOnBelt, 'id' | 'runId'>[]): Promise<void> => {
  const tx = queryable(em)
  try {
    await tx.query(lockTablesSql, [])
    await tx.query(lockJobsSql, [jobs.map(({ id }) => id)])
    await tx.query(lockCountersSql, [jobs.map(({ runId }) => runId)])
  } catch (error) {
    if (!isCutShort(error)) throw error
    throw new WorkflowError('held_up', 'the job or its run is held locked', { cause: error, final: false })
  }
}

const lockTablesSql = `
  lock table workflow_job, workflow_attempt, workflow_waiting, workflow_hidden_page, workflow_item_key,
    outbox_message, outbox_scheduled, workflow_run_step
  in row exclusive mode`

const lockJobsSql = `
  select from workflow_job where id = any ($1::uuid[])
  order by id
  for no key update`

const lockCountersSql = `
  select from workflow_run_step where run_id = any ($1::uuid[])
  order by run_id, step_id
  for no key update`
