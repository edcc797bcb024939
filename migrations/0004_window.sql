-- Jobs that are staged: they wait until the window of their run and step has room for them. They lie beside
-- workflow_job because an index that knows of a status would keep every end of a job from being a HOT update.
create table workflow_waiting (
  run_id uuid not null,
  step_id uuid not null,
  job_id uuid not null,
  primary key (run_id, step_id, job_id)
);

-- Where the next release begins to read, so that it does not pass over all that was released before.
alter table workflow_run_step add column released_to uuid;
