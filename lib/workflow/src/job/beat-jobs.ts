import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { statusesBefore } from './transitions.ts'

/**
 * A job that its worker says it has. `next` is the claim under which it is to be marked `running`, the same one if it has
 * it already; null only looks.
 */
export type Beat = { id: string; runId: string; seq: number; claim: string | null; next: string | null }

/** What the database says of it. `isClaimed`: it has the claim that was to be next. */
export type BeatAnswer = { isOurs: boolean; isClaimed: boolean; isCancelled: boolean }

/**
 * Tells in one statement of all long jobs of a worker that they are at work, and asks of each whether it is still the
 * worker's and whether it or its run is cancelled; the answers come in the order of the beats. `beat_at` moves only when it is
 * some seconds old: a row is written anew as a whole for it.
 *
 * Locks: the jobs in the order of their ids, passing over those that somebody else writes in this moment, so that one of
 * them holds up nobody's beat. What such a job is then, the next beat sees.
 */
export const beatJobs = async (em: EntityManager, beats: readonly Beat[], worker: string): Promise<BeatAnswer[]> => {
  const asked = beats.map((beat, place) => ({ place, ...beat }))
  const { rows } = await queryable(em).query(beatJobsSql, [JSON.stringify(asked), statusesBefore('start'), worker])
  const answers = new Map(answerRows.parse(rows).map(({ place, ...answer }) => [place, answer]))
  return beats.map((_, place) => answers.get(place) ?? { isOurs: false, isClaimed: false, isCancelled: false })
}

// The jobs are looked up one by one, as when they are claimed.
const beatJobsSql = `
  with beat as (
    select * from jsonb_to_recordset($1::jsonb)
      as beat(place int, id uuid, "runId" uuid, seq int, claim uuid, next uuid)
    order by id
  ), seen as (
    select beat.*, job.claim as now_claim, job.beat_at, job.status as job_status,
           (select status from workflow_run where id = beat."runId") as run_status,
           job.seq = beat.seq
             and (job.claim is not distinct from beat.claim or coalesce(job.claim = beat.next, false))
             and job.status = any ($2) as is_ours
    from beat cross join lateral (
      select seq, claim, beat_at, status from workflow_job where id = beat.id and run_id = beat."runId"
      offset 0
    ) job
  ), due as (
    select seen.place, seen.id, seen.next
    from seen cross join lateral (
      select from workflow_job
      where seen.is_ours
        and seen.next is not null
        and (seen.now_claim is distinct from seen.next or seen.beat_at is null
             or seen.beat_at < now() - interval '5 seconds')
        -- Once more, as the row is when it is locked.
        and id = seen.id
        and run_id = seen."runId"
        and seq = seen.seq
        and claim is not distinct from seen.now_claim
        and status = any ($2)
      for no key update skip locked
    ) job
  ), beaten as (
    update workflow_job job set
      status = 'running',
      claim = due.next,
      worker = $3,
      started_at = coalesce(job.started_at, now()),
      beat_at = now()
    from due
    where job.id = due.id
    returning due.place
  )
  select place, is_ours as "isOurs",
         is_ours and (coalesce(now_claim = next, false) or place in (select place from beaten))
           as "isClaimed",
         run_status in ('cancelling', 'cancelled') or job_status = 'cancelled' as "isCancelled"
  from seen`

const answerRows = z.array(
  z.object({ place: z.int(), isOurs: z.boolean(), isClaimed: z.boolean(), isCancelled: z.boolean() }),
)
