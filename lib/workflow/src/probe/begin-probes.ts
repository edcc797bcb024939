import { enqueue, queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import { v7 as uuidv7 } from 'uuid'
import * as z from 'zod'
import { statusesBefore } from '../job/transitions.ts'
import { probeMessage } from './probe-message.ts'
import type { ProbeTimes } from './probe-times.ts'

/** Jobs that are thought about at a time: the oldest, so that those that nothing moves come first in the end. */
const mostJobs = 100_000

/** A probe that has begun, and about how many jobs. */
export type Begun = { functionName: string; jobs: number }

/**
 * Sends a probe through the queue of every function that has jobs which wait long, whose messages are in no table of the
 * outbox, and of which no beat tells; a function whose probe is under way is passed over. The jobs are noted by a
 * statement that sees the outbox and the jobs in one snapshot, and the probe's message is written after it. So whatever
 * message such a job ever had was in the queue before the probe.
 *
 * Locks: a lock of its own, which only others that begin probes want and none of them waits for; two at a time might add
 * jobs to a probe that is out. It reads every job of the open runs that have some on the belt.
 */
export const beginProbes = (em: EntityManager, lane: number, { waitsMs }: ProbeTimes): Promise<Begun[]> =>
  em.transactional(async (em) => {
    const tx = queryable(em)
    const { rows: locks } = await tx.query(lockSql, [])
    if (!lockRows.parse(locks)[0].locked) return []
    const { rows } = await tx.query(noteJobsSql, [waitsMs, statusesBefore('requeue'), mostJobs])
    const begun = begunRows.parse(rows)
    if (begun.length === 0) return []
    const probes = begun.map(({ functionName }) => ({ functionName, id: uuidv7() }))
    await tx.query(insertProbesSql, [probes.map(({ functionName }) => functionName), probes.map(({ id }) => id)])
    await enqueue(
      em,
      probes.map(({ functionName, id }) => probeMessage(functionName, id)),
      { lane },
    )
    return begun
  })

const lockSql = `select pg_try_advisory_xact_lock(hashtextextended('esteira probes', 0)) as locked`

const lockRows = z.tuple([z.object({ locked: z.boolean() })])

// `except` sorts or hashes both sides, whatever Postgres knows of the outbox: by statistics of when that was empty, a
// look for each job's message would go through all messages for each job.
const noteJobsSql = `
  with step_on_belt as (
    select counted.run_id, counted.step_id, step.function_name
    from workflow_run run
    join workflow_run_step counted on counted.run_id = run.id
    join workflow_step step on step.id = counted.step_id and step.version = run.version
    where run.status in ('running', 'cancelling')
      and counted.belt > 0
      and not exists (select from workflow_probe probe where probe.function_name = step.function_name)
  ), silent as (
    select step_on_belt.function_name, job.id::text as job_id, job.seq::text as seq
    from step_on_belt
    join workflow_job job on job.run_id = step_on_belt.run_id and job.step_id = step_on_belt.step_id
    where job.status = any ($2)
      and greatest(job.enqueued_at, job.run_after, job.beat_at) <= now() - $1::float8 * interval '1 ms'
    except
    select routing_key, payload ->> 'jobId', payload ->> 'seq' from (
      select exchange, routing_key, payload from outbox_message union all
      select exchange, routing_key, payload from outbox_scheduled union all
      select exchange, routing_key, payload from outbox_parked
    ) kept
    where exchange = '' and routing_key = any (array(select distinct function_name from step_on_belt))
  ), noted as (
    insert into workflow_probed_job (function_name, job_id, seq)
    select function_name, job_id::uuid, seq::int from silent
    order by job_id::uuid
    limit $3
    returning function_name
  )
  select function_name as "functionName", count(*)::int as jobs from noted group by function_name order by function_name`

const begunRows = z.array(z.object({ functionName: z.string(), jobs: z.int() }))

const insertProbesSql = `insert into workflow_probe (function_name, id) select * from unnest($1::text[], $2::uuid[])`
