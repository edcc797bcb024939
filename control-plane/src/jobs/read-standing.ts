import { queryable } from '@esteira/outbox'
import { jobStatuses, runStatuses } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/** Where a job stands, and what is there of its message. Times are milliseconds since 1970. */
export type Standing = z.output<typeof standingRows>[number]

/**
 * Reads in one statement where a job stands; null if there is none that a client sees. `kept` is its message in the
 * outbox, and `probe` what is under way to find out whether its message is lost. It reads the messages of the job's
 * function in the outbox, which are many while a relay or RabbitMQ is away.
 */
export const readStanding = async (em: EntityManager, jobId: string): Promise<Standing | null> => {
  const { rows } = await queryable(em).query(standingSql, [jobId])
  return standingRows.parse(rows)[0] ?? null
}

const ms = (time: string): string => `(extract(epoch from ${time}) * 1000)::float8`

const standingSql = `
  select job.status, run.status as "runStatus", step.function_name as "functionName", job.worker,
         job.error ->> 'message' as error,
         ${ms('job.enqueued_at')} as "enqueuedMs", ${ms('job.run_after')} as "dueMs",
         ${ms('job.started_at')} as "startedMs", ${ms('job.finished_at')} as "finishedMs",
         ${ms('job.created_at')} as "createdMs", ${ms('now() - job.beat_at')} as "silentMs",
         coalesce(job.run_after > now(), false) as "isLater", counted.belt::float8 as belt,
         case when job.status = 'staged' then (
           select count(*) from workflow_waiting waiting
           where waiting.run_id = job.run_id and waiting.step_id = job.step_id and waiting.job_id < job.id
         ) end::float8 as ahead,
         case when kept.place is not null then
           json_build_object('place', kept.place, 'lane', kept.lane, 'reason', kept.reason, 'sinceMs', ${ms('kept.since')})
         end as kept,
         case when probe.id is not null then
           json_build_object('round', probe.round, 'isSeen', probe.seen_at is not null)
         end as probe
  from workflow_job job
  join workflow_run run on run.id = job.run_id
  join workflow_run_step counted on counted.run_id = job.run_id and counted.step_id = job.step_id
  join workflow_step step on step.id = job.step_id and step.version = run.version
  left join lateral (
    select message.*, lane.name as lane from (
      select 'outbox' as place, lane as lane_id, null as reason, created_at as since, exchange, routing_key, payload
      from outbox_message
      union all
      select 'scheduled', lane, null, created_at, exchange, routing_key, payload from outbox_scheduled
      union all
      select 'parked', lane, reason, parked_at, exchange, routing_key, payload from outbox_parked
    ) message
    left join outbox_lane lane on lane.id = message.lane_id
    where message.exchange = '' and message.routing_key = step.function_name
      and message.payload ->> 'jobId' = job.id::text and message.payload ->> 'seq' = job.seq::text
    limit 1
  ) kept on job.status = 'queued'
  left join workflow_probed_job probed
    on probed.function_name = step.function_name and probed.job_id = job.id and probed.seq = job.seq
  left join workflow_probe probe on probe.function_name = probed.function_name
  where job.id = $1 and job.status <> 'hidden'`

const time = z.number().nullable()

const standingRows = z.array(
  z.object({
    status: z.enum(jobStatuses).exclude(['hidden']),
    runStatus: z.enum(runStatuses),
    functionName: z.string(),
    worker: z.string().nullable(),
    error: z.string().nullable(),
    createdMs: z.number(),
    enqueuedMs: time,
    dueMs: time,
    isLater: z.boolean(),
    startedMs: time,
    finishedMs: time,
    silentMs: time,
    belt: z.number(),
    ahead: z.number().nullable(),
    kept: z
      .object({
        place: z.enum(['outbox', 'scheduled', 'parked']),
        lane: z.string().nullable(),
        reason: z.string().nullable(),
        sinceMs: z.number(),
      })
      .nullable(),
    probe: z.object({ round: z.int(), isSeen: z.boolean() }).nullable(),
  }),
)
