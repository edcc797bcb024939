import { enqueue, type Queryable, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { attemptLost, messageLost } from '../job/lost-attempt.ts'
import { jobMessage } from '../job/new-job.ts'
import { statusesBefore } from '../job/transitions.ts'
import type { ProbeTimes } from './probe-times.ts'

/** Jobs of one unit of work. */
const groupSize = 1_000

/** What a probe proved, in one unit of work: of how many jobs that nobody has moved since the message was lost. */
type SentGroup = { functionName: string; jobs: number }

/**
 * Sends again, each with a message of a new generation, the next jobs of a probe that has come out twice, which still
 * stand where they stood when it began and have no message in the outbox meanwhile. Whoever has them all the same can
 * write them no more. What was sent before is kept as an attempt that was `lost`, and burns none. Null when no probe
 * has anything left; one of which all jobs are through is forgotten.
 *
 * Locks: the probe, passing over those that somebody else has, and then jobs in the order of their ids, passing over what
 * is locked: whoever holds a job is about to move it, and a job that is still lost is found by the next probe. The
 * counters do not move: a job that is sent again was on the belt and stays there.
 */
export const sendLostGroup = (em: EntityManager, lane: number, { takesMs }: ProbeTimes): Promise<SentGroup | null> =>
  em.transactional(async (em) => {
    const tx = queryable(em)
    const [probe] = probeRows.parse((await tx.query(provenSql, [takesMs])).rows)
    if (probe === undefined) return null
    const { functionName, passedAt } = probe
    const noted = notedRows.parse((await tx.query(takeNotedSql, [functionName, groupSize])).rows)
    if (noted.length < groupSize) await tx.query(`delete from workflow_probe where function_name = $1`, [functionName])
    const lost = await requeue(tx, functionName, noted, passedAt)
    await enqueue(
      em,
      lost.map((job) => jobMessage(functionName, job)),
      { lane },
    )
    return { functionName, jobs: lost.length }
  })

const provenSql = `
  select function_name as "functionName", passed_at::text as "passedAt" from workflow_probe
  where round = 2 and seen_at <= now() - $1::float8 * interval '1 ms'
  order by function_name
  limit 1
  for update skip locked`

// As an array: with statistics of a table that was empty, a join would compare all that are noted with all of the group.
const takeNotedSql = `
  delete from workflow_probed_job
  where function_name = $1
    and job_id = any (array(select job_id from workflow_probed_job where function_name = $1 order by job_id limit $2))
  returning job_id as id, seq`

const requeue = async (
  tx: Queryable,
  functionName: string,
  noted: z.infer<typeof notedRows>,
  passedAt: string,
): Promise<z.infer<typeof lostRows>> => {
  const errors = [attemptLost, messageLost].map((error) => JSON.stringify(error))
  const ids = noted.map(({ id }) => id)
  const seqs = noted.map(({ seq }) => seq)
  const runs = runRows.parse((await tx.query(runsSql, [ids])).rows).map(({ id, runId }) => [id, runId])
  const runOf = JSON.stringify(Object.fromEntries(runs))
  const values = [ids, seqs, statusesBefore('requeue'), passedAt, ...errors, functionName, runOf]
  return lostRows.parse((await tx.query(requeueSql, values)).rows)
}

const runsSql = `select id, run_id as "runId" from workflow_job where id = any ($1::uuid[])`

// The jobs are looked up one by one, as when they are claimed, and those that are lost are given as an array.
// A beat since the probe came out is somebody who has the job. Whoever found its row held has put its message off, under the
// same `seq` (`sendLater`), and that is seen in the outbox alone; by `except` as in the look with which the probe began.
const requeueSql = `
  with noted as (
    select id::text as id, seq::text as seq from unnest($1::uuid[], $2::int[]) as noted (id, seq)
    except
    select payload ->> 'jobId', payload ->> 'seq' from (
      select exchange, routing_key, payload from outbox_message union all
      select exchange, routing_key, payload from outbox_scheduled union all
      select exchange, routing_key, payload from outbox_parked
    ) message
    where exchange = '' and routing_key = $7
  ), lost as (
    select job.* from (select * from noted order by id) noted cross join lateral (
      select id, seq, attempt, status = 'running' as begun, worker,
             greatest(started_at, enqueued_at, run_after) as since
      from workflow_job
      where id = noted.id::uuid
        and run_id = ($8::jsonb ->> noted.id)::uuid
        and seq = noted.seq::int
        and status = any ($3)
        and (beat_at is null or beat_at < $4::timestamptz)
      for no key update skip locked
    ) job
  ), kept as (
    insert into workflow_attempt as before
      (job_id, seq, attempt, outcome, lost, error, worker, started_at, ended_at)
    select id, seq, attempt + 1, 'lost', true, case when begun then $5::jsonb else $6::jsonb end,
           case when begun then coalesce(worker, '') else '' end, least(since, now()), now()
    from lost
    on conflict (job_id, seq, lost) do update set
      times = before.times + 1,
      error = excluded.error,
      worker = excluded.worker,
      ended_at = excluded.ended_at
  )
  update workflow_job
  set status = 'queued', seq = seq + 1, claim = null, beat_at = null, enqueued_at = now()
  where id = any (array(select id from lost))
  returning id, run_id as "runId", step_id as "stepId", seq, traceparent`

const probeRows = z.array(z.object({ functionName: z.string(), passedAt: z.string() }))
const notedRows = z.array(z.object({ id: z.string(), seq: z.int() }))
const runRows = z.array(z.object({ id: z.string(), runId: z.string() }))
const lostRows = z.array(
  z.object({ id: z.string(), runId: z.string(), stepId: z.string(), seq: z.int(), traceparent: z.string() }),
)
