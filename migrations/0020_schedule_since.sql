-- Since when each CronJob step ticks on the schedule that it has, one row a step, written with the save. A workflow knows
-- its last save alone, which may be for another reason: a tick that was due between the two would pass for one of the
-- schedule before. What a version without this table saves has a row that does not fit, and the last save holds.
create table workflow_schedule (
  step_id uuid primary key,
  schedule text not null,
  time_zone text not null,
  -- The step's own wish, or its workflow is disabled.
  suspended boolean not null,
  since timestamptz not null
);

-- What was applied to a cluster knows since when it holds; of the rest the last save is all that is known.
insert into workflow_schedule (step_id, schedule, time_zone, suspended, since)
select saved.id, saved.schedule, saved.time_zone, saved.suspended,
       case when applied.schedule = saved.schedule and applied.time_zone = saved.time_zone
                 and (saved.suspended or not applied.suspended)
            then applied.since else saved.updated_at end
from (
  select step.id, step.config ->> 'schedule' as schedule, coalesce(step.config ->> 'timeZone', 'UTC') as time_zone,
         not workflow.enabled or step.config @> '{ "suspend": true }' as suspended, workflow.updated_at
  from workflow
  join workflow_step step on step.workflow_id = workflow.id and step.version = workflow.version
  where workflow.deleted_at is null and step.function_name = 'CronJob' and jsonb_typeof(step.config -> 'schedule') = 'string'
) saved
left join workflow_cron_job applied on applied.step_id = saved.id;
