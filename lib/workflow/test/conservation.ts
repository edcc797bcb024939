/** One statement on the database, in whatever transaction it is. */
type Query = (text: string, values?: unknown[]) => Promise<unknown[]>

/**
 * What must hold at every moment for every reader: each counter is the number of rows that it counts, what came out of
 * a step went into the next one, item by item, and a run that is over has nothing open. Hidden jobs are not there yet.
 * Gives whatever does not hold.
 */
export const openConservation = (query: Query) => ({
  /** Steps of any run whose counters differ from the rows that they count. */
  untrueCounters: () => query(untrueCountersSql),

  /**
   * Jobs whose children are not those that their step gives, or not as many as they are said to have; runs without one
   * root; runs that ended too soon; jobs of which an attempt is in no history; staged jobs of which nobody knows that
   * they wait, and others that are said to; hidden jobs that are not in one page.
   */
  unconserved: async (): Promise<unknown[]> => [
    ...(await query(falseChildrenSql)),
    ...(await query(falseRootsSql)),
    ...(await query(endedTooSoonSql)),
    ...(await query(forgottenAttemptsSql)),
    ...(await query(falselyWaitingSql)),
    ...(await query(falselyHiddenSql)),
  ],
})

const untrueCountersSql = `
  select counted.*, actual.*
  from workflow_run_step counted left join (
    select run_id, step_id,
           count(*) filter (where status = 'staged') as staged,
           count(*) filter (where status in ('queued', 'running')) as belt,
           count(*) filter (where status = 'succeeded') as succeeded,
           count(*) filter (where status = 'failed') as failed,
           count(*) filter (where status = 'cancelled') as cancelled
    from workflow_job group by run_id, step_id
  ) actual using (run_id, step_id)
  where (counted.staged, counted.belt, counted.succeeded, counted.failed, counted.cancelled)
    is distinct from (coalesce(actual.staged, 0), coalesce(actual.belt, 0), coalesce(actual.succeeded, 0),
                      coalesce(actual.failed, 0), coalesce(actual.cancelled, 0))`

const falseChildrenSql = `
  with children as (
    select parent_id, count(*) as jobs, count(distinct item_index) as places, min(item_index) as first,
           max(item_index) as last, array_agg(distinct run_id) as runs, array_agg(distinct step_id) as steps
    from workflow_job where parent_id is not null and status <> 'hidden'
    group by parent_id
  )
  select parent.id, parent.status, parent.emitted, step.name, step.output_type, children.*
  from workflow_job parent
  join workflow_run run on run.id = parent.run_id
  join workflow_step step on step.id = parent.step_id and step.version = run.version
  full join children on children.parent_id = parent.id
  where case
    when parent.id is null then true
    when parent.emitted <> coalesce(children.jobs, 0) then true
    when step.next_step_id is null then children.jobs > 0
    when step.output_type = 'multiple' and children.jobs is null then false
    when step.output_type is distinct from 'multiple' and parent.status <> 'succeeded' then children.jobs > 0
    else (children.first, children.last, children.places, children.runs, children.steps) is distinct from
         (0, children.jobs - 1, children.jobs, array[parent.run_id], array[step.next_step_id])
      or (children.jobs > 1 and step.output_type is distinct from 'multiple')
  end`

const falseRootsSql = `
  select run.id, count(job.id) as roots
  from workflow_run run left join workflow_job job on job.run_id = run.id and job.parent_id is null
  where run.status <> 'skipped'
  group by run.id
  having count(job.id) <> 1`

const falselyWaitingSql = `
  select job.id as "jobId", job.status, waiting.job_id as "waits"
  from (select id, run_id, step_id, status from workflow_job where status = 'staged') job
  full join workflow_waiting waiting
    on waiting.run_id = job.run_id and waiting.step_id = job.step_id and waiting.job_id = job.id
  where job.id is null or waiting.job_id is null`

const endedTooSoonSql = `
  select run.id, run.status, job.id as "jobId", job.status as "jobStatus"
  from workflow_run run join workflow_job job on job.run_id = run.id
  where run.finished_at is not null and job.finished_at is null and job.status <> 'hidden'`

const falselyHiddenSql = `
  select job.id as "jobId", job.status, page.parent_id as "inPageOf"
  from (select id from workflow_job where status = 'hidden') hidden
  full join (
    select parent_id, job_id from workflow_hidden_page, unnest(job_ids) as job_id
  ) page on page.job_id = hidden.id
  left join workflow_job job on job.id = coalesce(hidden.id, page.job_id)
  where hidden.id is null or page.job_id is null`

const forgottenAttemptsSql = `
  select job.id, job.status, job.attempt, count(ended.job_id) as kept
  from workflow_job job
  left join workflow_attempt ended on ended.job_id = job.id and ended.outcome in ('retried', 'failed')
  where job.attempt > 0
  group by job.id
  having count(ended.job_id) + (job.status = 'succeeded')::int < job.attempt`
