import type { Queryable } from '@esteira/outbox'
import * as z from 'zod'

/** Ends those of the runs, whose rows the caller has locked, of which nothing is open; returns which. */
export const endRuns = async (tx: Queryable, runIds: readonly string[]): Promise<string[]> => {
  const { rows } = await tx.query(endRunsSql, [runIds])
  return endedRows.parse(rows).map(({ id }) => id)
}

// The counters are looked up run by run: by statistics of an empty table a join would compare all with all.
const endRunsSql = `
  update workflow_run run
  set finished_at = clock_timestamp(),
      status = (
        select case when run.status = 'cancelling' then 'cancelled'
                    when sum(failed) > 0 then 'failed'
                    when sum(cancelled) > 0 then 'cancelled'
                    else 'succeeded' end
        from workflow_run_step where run_id = run.id
      )
  where run.id = any ($1::uuid[])
    and (select sum(staged + belt) from workflow_run_step where run_id = run.id) = 0
  returning run.id`

const endedRows = z.array(z.object({ id: z.string() }))
