import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { statusesBefore } from './transitions.ts'

/**
 * A job that its worker says it has. `next` is the claim under which it is to be marked `running`, the same one if it has
 * it already; null only looks.
 */
export type Beat = { id: string; seq: number; claim: string | null; next: string | null }

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

const beatJobsSql = `
  with beat as (
    select * from jsonb_to_recordset($1::jsonb) as beat(place int, id uuid, seq int, claim uuid, next uuid)
  ), seen as (
    select beat.*, job.claim as now_claim, job.beat_at, job.status as job_status, run.status as run_status,
           job.seq = beat.seq
             and (job.claim is not distinct from beat.claim or coalesce(job.claim = beat.next, false))
             and job.status = any ($2) as is_ours
    from beat
    join workflow_job job using (id)
    join workflow_run run on run.id = job.run_id
  ), due as (
    select seen.place, seen.next from workflow_job job
    join seen using (id)
    where seen.is_ours
      and seen.next is not null
      and (seen.now_claim is distinct from seen.next or seen.beat_at is null
           or seen.beat_at < now() - interval '5 seconds')
      -- Once more, as the row is when it is locked.
      and job.seq = seen.seq
      and job.claim is not distinct from seen.now_claim
      and job.status = any ($2)
    order by job.id
    for no key update of job skip locked
  ), beaten as (
    update workflow_job job set
      status = 'running',
      claim = due.next,
      worker = $3,
      started_at = coalesce(job.started_at, now()),
      beat_at = now()
    from seen join due using (place)
    where job.id = seen.id
    returning seen.place
  )
  select place, is_ours as "isOurs",
         is_ours and (coalesce(now_claim = next, false) or exists (select from beaten where beaten.place = seen.place))
           as "isClaimed",
         run_status in ('cancelling', 'cancelled') or job_status = 'cancelled' as "isCancelled"
  from seen`

const answerRows = z.array(
  z.object({ place: z.int(), isOurs: z.boolean(), isClaimed: z.boolean(), isCancelled: z.boolean() }),
)
