-- What became of the attempts at jobs that did not succeed, for clients to see, also when a later one did.

-- One row an attempt, except that a job which is put off again and again, as often as it likes, has one for all of them in
-- a row: `times` counts them. So a job has at most two rows for each attempt that its step's `retry` allows. `seq` is
-- that of the (last) message that brought the attempt; `attempt` its number, from 1.
create table workflow_attempt (
  job_id uuid not null references workflow_job on delete cascade,
  seq int not null,
  attempt int not null check (attempt >= 1),
  outcome text not null check (outcome in ('retried', 'snoozed', 'failed', 'cancelled')),
  times int not null default 1 check (times >= 1),
  error jsonb,
  worker text not null,
  started_at timestamptz not null,
  ended_at timestamptz not null,
  primary key (job_id, seq)
);

-- When the worker that runs a long job last said that it has it.
alter table workflow_job add column beat_at timestamptz;
