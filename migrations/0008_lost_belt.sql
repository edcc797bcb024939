-- The probe that is under way through a function's queue, one at a time, and what it is to prove something about: jobs
-- that waited long when it began and had no message in the outbox then. docs/decisions/0017 has the argument.
create table workflow_probe (
  function_name text primary key,
  -- Which message counts: one of an earlier round proves nothing.
  id uuid not null,
  round int not null default 1 check (round in (1, 2)),
  sent_at timestamptz not null default now(),
  -- How often the message of this round was sent.
  times int not null default 1 check (times >= 1),
  seen_at timestamptz,
  -- When that of the first round was seen.
  passed_at timestamptz,
  check ((passed_at is not null) = (round = 2))
);

create table workflow_probed_job (
  function_name text not null,
  job_id uuid not null,
  seq int not null,
  primary key (function_name, job_id)
);
