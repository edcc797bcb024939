-- What the cluster made of the CronJob steps, one row a step: what its object was when it was last applied, and what kept it
-- from being as it should be. Only the control plane that leads writes it, all of them show it. A step's versions share
-- a row, so there is no reference. docs/decisions/0038 has the argument.
create table workflow_cron_job (
  step_id uuid primary key,
  -- The object by its name, and by what the API server tells objects of one name apart with.
  object text,
  uid text,
  generation bigint,
  -- A digest of all that was applied.
  hash text,
  schedule text,
  time_zone text,
  suspended boolean,
  -- Ticks before this are not those of the schedule.
  since timestamptz,
  trouble text check (trouble in ('refused', 'foreign', 'unreachable')),
  -- The API server's word and sentence for it.
  code text,
  words text,
  tried_hash text,
  tries int check (tries >= 0),
  next_try_at timestamptz,
  written_at timestamptz not null default now(),
  check (num_nulls(object, uid, generation, hash, schedule, time_zone, suspended, since) in (0, 8)),
  check (num_nulls(trouble, words, tried_hash, tries, next_try_at) in (0, 5))
);
