-- Workflows, their steps by version, and the runs and jobs that a client sees and acts on.

create table workflow (
  id uuid primary key,
  name text not null check (length(name) between 1 and 200),
  client text,
  automation_type text not null check (automation_type in ('step')),
  version int not null check (version >= 1),
  enabled boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
-- A deleted workflow keeps its rows, since its runs are the client's history; its name is free again.
create unique index workflow_name on workflow (name) where deleted_at is null;

-- A step's id stays the same through all versions of its workflow. Jobs in flight finish on the version their run began with.
create table workflow_step (
  id uuid not null,
  version int not null,
  workflow_id uuid not null references workflow,
  position int not null check (position >= 0),
  name text not null check (length(name) between 1 and 200),
  function_name text not null check (length(function_name) between 1 and 200),
  config jsonb not null default '{}' check (jsonb_typeof(config) = 'object'),
  next_step_id uuid,
  output_type text check (output_type in ('single', 'multiple')),
  retry jsonb not null default '{}' check (jsonb_typeof(retry) = 'object'),
  timeout_ms int check (timeout_ms > 0),
  primary key (id, version),
  unique (workflow_id, version, name),
  foreign key (next_step_id, version) references workflow_step (id, version) deferrable initially deferred
);

create function workflow_step_is_final() returns trigger language plpgsql as $$
begin
  raise exception 'step % of version % cannot change: saving a workflow writes a new version', old.id, old.version;
end
$$;

create trigger workflow_step_is_final before update on workflow_step
  for each row execute function workflow_step_is_final();

-- What the functions are, published by their workers at start. A step's config is checked against it when it is saved.
create table workflow_function (
  name text primary key,
  config_schema jsonb not null,
  input_schema jsonb,
  output_schema jsonb,
  updated_at timestamptz not null default now()
);

create table workflow_run (
  id uuid primary key,
  workflow_id uuid not null references workflow,
  version int not null,
  trigger text not null check (trigger in ('cron', 'manual')),
  idempotency_key text not null check (length(idempotency_key) between 1 and 500),
  status text not null check (status in ('running', 'cancelling', 'succeeded', 'failed', 'cancelled', 'skipped')),
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  unique (workflow_id, idempotency_key),
  check ((finished_at is null) = (status in ('running', 'cancelling')))
);
create index workflow_run_of_workflow on workflow_run (workflow_id, id);
create index workflow_run_open on workflow_run (id) where status in ('running', 'cancelling');

-- What of a run stands where, exact at every commit: the counters move in the transaction that moves the jobs.
-- `belt` counts queued (delayed ones too) and running jobs.
create table workflow_run_step (
  run_id uuid not null references workflow_run,
  step_id uuid not null,
  staged bigint not null default 0 check (staged >= 0),
  belt bigint not null default 0 check (belt >= 0),
  succeeded bigint not null default 0 check (succeeded >= 0),
  failed bigint not null default 0 check (failed >= 0),
  cancelled bigint not null default 0 check (cancelled >= 0),
  primary key (run_id, step_id)
);

create table workflow_job (
  id uuid primary key,
  run_id uuid not null references workflow_run,
  step_id uuid not null,
  parent_id uuid,
  item_index int,
  status text not null
    check (status in ('hidden', 'staged', 'queued', 'running', 'succeeded', 'failed', 'cancelled')),
  seq int not null default 1 check (seq >= 1),
  attempt int not null default 0 check (attempt >= 0),
  claim uuid,
  payload jsonb,
  output jsonb,
  error jsonb,
  run_after timestamptz,
  enqueued_at timestamptz default now(),
  traceparent text not null,
  worker text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  check ((finished_at is not null) = (status in ('succeeded', 'failed', 'cancelled')))
);
create index workflow_job_of_run on workflow_job (run_id, id);
