import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import type { HeldJob } from './held-job.ts'
import { attemptLost } from './lost-attempt.ts'
import { statusesBefore } from './transitions.ts'

/** A job as whoever asks for it knows it, and the claim that it is to be taken over under. */
export type Claim = { job: Pick<HeldJob, 'id' | 'runId' | 'seq' | 'claim'>; next: string }

/** Where a job that was taken stands: what its new holder goes on from. */
export type TakenJob = Pick<HeldJob, 'attempt' | 'emitted' | 'cursor' | 'accepted'>

/**
 * Takes jobs over, each under a claim of its own, by compare-and-set, and marks them `running`; gives those that were
 * taken, and where they stand. That is no matter of when they were found: whoever held one may have written pages since,
 * the last of them while this waited for its commit. Of the others somebody was first. From then on whoever held a job
 * before cannot write it any more. Asking again with the same claims, after an answer that was lost, gives the same
 * answer. An attempt that somebody had begun under a claim, and of which nobody wrote the end, is kept as `lost`.
 *
 * Locks: the jobs, in the order of their ids, as a unit of work does. The caller's transaction says how long it waits.
 */
export const claimJobs = async <One extends Claim>(
  em: EntityManager,
  claims: readonly One[],
  worker: string,
): Promise<Map<One, TakenJob>> => {
  const asked = claims.map(({ job, next }) => ({ id: job.id, run: job.runId, seq: job.seq, claim: job.claim, next }))
  const values = [JSON.stringify(asked), worker, statusesBefore('start'), JSON.stringify(attemptLost)]
  const { rows } = await queryable(em).query(claimJobsSql, values)
  const taken = new Map(takenRows.parse(rows).map(({ claim, ...job }) => [claim, job]))
  return new Map(
    claims.flatMap((claim) => {
      const job = taken.get(claim.next)
      return job === undefined ? [] : [[claim, job] as const]
    }),
  )
}

// Two that ask for one job at a time both find it free here; the update takes one of them. What it needs of the
// others is carried along: joined once more, all that were asked for would be compared with all that are free. The
// jobs are looked up one by one, and by their runs too, as by statistics of an empty table any other way seems as
// good (decision 0097).
const claimJobsSql = `
  with asked as (
    select * from jsonb_to_recordset($1::jsonb) as asked(id uuid, run uuid, seq int, claim uuid, next uuid)
    order by id
  ), free as (
    select asked.id, asked.next, job.seq, job.held, job.worker, job.begun
    from asked cross join lateral (
      select seq, claim as held, worker, greatest(started_at, enqueued_at, run_after) as begun
      from workflow_job
      where id = asked.id
        and run_id = asked.run
        and seq = asked.seq
        and (claim is not distinct from asked.claim or claim = asked.next)
        and status = any ($3)
      for no key update
    ) job
  ), taken as (
    update workflow_job job set
      status = 'running',
      claim = free.next,
      worker = $2,
      beat_at = now(),
      started_at = coalesce(job.started_at, clock_timestamp())
    from free
    where job.id = free.id
    returning job.id, job.claim, job.attempt, job.emitted, job.cursor, job.accepted,
              free.seq, free.held, free.worker, free.begun
  ), lost as (
    insert into workflow_attempt as before
      (job_id, seq, attempt, outcome, lost, error, worker, started_at, ended_at)
    select id, seq, attempt + 1, 'lost', true, $4::jsonb, coalesce(worker, ''), coalesce(least(begun, now()), now()), now()
    from taken
    where held is not null and held <> claim
    on conflict (job_id, seq, lost) do update set
      times = before.times + 1,
      worker = excluded.worker,
      ended_at = excluded.ended_at
  )
  select claim, attempt, emitted, cursor, accepted from taken`

const takenRows = z.array(
  z.object({
    claim: z.string(),
    attempt: z.int(),
    emitted: z.int(),
    cursor: z.unknown(),
    accepted: z.string().nullable(),
  }),
)
