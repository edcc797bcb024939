import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'

/** Ends those of the runs, whose rows the caller has locked, of which nothing is open; returns which. */
export const endRuns = async (tx: Queryable, runIds: readonly string[]): Promise<string[]> => {
  const { rows } = await tx.query(endRunsSql, [runIds])
  return endedRows.parse(rows).map(({ id }) => id)
}

const endRunsSql = `
  update workflow_run run
  set finished_at = clock_timestamp(),
      status = case when run.status = 'cancelling' then 'cancelled'
                    when counted.failed > 0 then 'failed'
                    when counted.cancelled > 0 then 'cancelled'
                    else 'succeeded' end
  from (
    select run_id, sum(staged + belt) as open, sum(failed) as failed,
           sum(cancelled) as cancelled
    from workflow_run_step where run_id = any ($1::uuid[])
    group by run_id
  ) counted
  where run.id = counted.run_id and counted.open = 0
  returning run.id`

const endedRows = z.array(z.object({ id: z.string() }))
