-- The tables after all migrations, for people to read and for CI to compare. Nothing runs this file: the migrations
-- beside it do the work, and `npm run schema` writes it anew.

CREATE OR REPLACE FUNCTION public.outbox_draw_xid()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare
  -- An expression, not a query: it costs a writer a tenth.
  drawn constant xid8 := pg_current_xact_id();
begin
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.outbox_ring()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform pg_notify('outbox_lane_' || new.lane, '');
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.workflow_step_is_final()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'step % of version % cannot change: saving a workflow writes a new version', old.id, old.version;
end
$function$;

create table inbox (
  consumer text not null,
  message_id uuid not null,
  received_at timestamp with time zone not null default now(),
  constraint inbox_pkey PRIMARY KEY (consumer, message_id),
  constraint inbox_consumer_check CHECK (((length(consumer) >= 1) AND (length(consumer) <= 255)))
);
CREATE INDEX inbox_received_at ON public.inbox USING btree (received_at);

create table outbox_lane (
  id integer not null generated always as identity,
  name text not null,
  kind text not null default 'pod'::text,
  fence uuid not null default gen_random_uuid(),
  created_at timestamp with time zone not null default now(),
  seen_at timestamp with time zone not null default now(),
  constraint outbox_lane_pkey PRIMARY KEY (id),
  constraint outbox_lane_name_key UNIQUE (name),
  constraint outbox_lane_kind_check CHECK ((kind = ANY (ARRAY['pod'::text, 'key'::text, 'always'::text]))),
  constraint outbox_lane_name_check CHECK (((length(name) >= 1) AND (length(name) <= 253)))
);

create table outbox_message (
  lane integer not null,
  id bigint not null generated always as identity,
  message_id uuid not null,
  exchange text not null default ''::text,
  routing_key text not null,
  ordering_key text,
  headers json not null default '{}'::json,
  payload json,
  bytes bytea,
  created_at timestamp with time zone not null default now(),
  constraint outbox_message_pkey PRIMARY KEY (lane, id),
  constraint outbox_message_check CHECK ((num_nonnulls(payload, bytes) = 1)),
  constraint outbox_message_headers_check CHECK ((json_typeof(headers) = 'object'::text))
);
CREATE INDEX outbox_message_key ON public.outbox_message USING btree (lane, ordering_key, id) WHERE (ordering_key IS NOT NULL);
CREATE TRIGGER outbox_message_ring AFTER INSERT ON public.outbox_message FOR EACH ROW WHEN (
        CASE
            WHEN pg_try_advisory_lock_shared(1869968499, new.lane) THEN (NOT pg_advisory_unlock_shared(1869968499, new.lane))
            ELSE true
        END) EXECUTE FUNCTION outbox_ring();
CREATE TRIGGER outbox_message_xid BEFORE INSERT ON public.outbox_message FOR EACH STATEMENT EXECUTE FUNCTION outbox_draw_xid();

create table outbox_migration (
  name text not null,
  applied_at timestamp with time zone not null default now(),
  constraint outbox_migration_pkey PRIMARY KEY (name)
);

create table outbox_parked (
  lane integer not null,
  id bigint not null,
  message_id uuid not null,
  exchange text not null,
  routing_key text not null,
  ordering_key text,
  headers json not null,
  payload json,
  bytes bytea,
  created_at timestamp with time zone not null,
  reason text not null,
  attempts integer not null,
  parked_at timestamp with time zone not null default now(),
  constraint outbox_parked_pkey PRIMARY KEY (lane, id),
  constraint outbox_parked_attempts_check CHECK ((attempts > 0))
);
CREATE INDEX outbox_parked_key ON public.outbox_parked USING btree (lane, ordering_key) WHERE (ordering_key IS NOT NULL);

create table outbox_scheduled (
  lane integer not null,
  id bigint not null generated always as identity,
  message_id uuid not null,
  exchange text not null default ''::text,
  routing_key text not null,
  ordering_key text,
  headers json not null default '{}'::json,
  payload json,
  bytes bytea,
  created_at timestamp with time zone not null default now(),
  available_at timestamp with time zone not null,
  constraint outbox_scheduled_pkey PRIMARY KEY (lane, id),
  constraint outbox_scheduled_check CHECK ((num_nonnulls(payload, bytes) = 1)),
  constraint outbox_scheduled_headers_check CHECK ((json_typeof(headers) = 'object'::text))
);
CREATE INDEX outbox_scheduled_due ON public.outbox_scheduled USING btree (lane, available_at, id);
CREATE TRIGGER outbox_scheduled_ring AFTER INSERT ON public.outbox_scheduled FOR EACH ROW WHEN (
        CASE
            WHEN pg_try_advisory_lock_shared(1869968499, new.lane) THEN (NOT pg_advisory_unlock_shared(1869968499, new.lane))
            ELSE true
        END) EXECUTE FUNCTION outbox_ring();

create table rate_limit (
  name text not null,
  turns timestamp with time zone[] not null default '{}'::timestamp with time zone[],
  slowed_until timestamp with time zone not null default '-infinity'::timestamp with time zone,
  constraint rate_limit_pkey PRIMARY KEY (name)
);

create table schema_migration (
  id integer not null default nextval('schema_migration_id_seq'::regclass),
  name character varying(255) not null,
  executed_at timestamp(6) with time zone not null default CURRENT_TIMESTAMP(6),
  constraint schema_migration_pkey PRIMARY KEY (id)
);

create table workflow (
  id uuid not null,
  name text not null,
  client text,
  automation_type text not null,
  version integer not null,
  enabled boolean not null default true,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  constraint workflow_pkey PRIMARY KEY (id),
  constraint workflow_automation_type_check CHECK ((automation_type = 'step'::text)),
  constraint workflow_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
  constraint workflow_version_check CHECK ((version >= 1))
);
CREATE UNIQUE INDEX workflow_name ON public.workflow USING btree (name) WHERE (deleted_at IS NULL);

create table workflow_attempt (
  job_id uuid not null,
  seq integer not null,
  attempt integer not null,
  outcome text not null,
  times integer not null default 1,
  error jsonb,
  worker text not null,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone not null,
  lost boolean not null default false,
  constraint workflow_attempt_pkey PRIMARY KEY (job_id, seq, lost),
  constraint workflow_attempt_attempt_check CHECK ((attempt >= 1)),
  constraint workflow_attempt_lost_check CHECK ((lost = (outcome = 'lost'::text))),
  constraint workflow_attempt_outcome_check CHECK ((outcome = ANY (ARRAY['retried'::text, 'snoozed'::text, 'failed'::text, 'cancelled'::text, 'lost'::text]))),
  constraint workflow_attempt_times_check CHECK ((times >= 1)),
  constraint workflow_attempt_job_id_fkey FOREIGN KEY (job_id) REFERENCES workflow_job(id) ON DELETE CASCADE
);

create table workflow_cron_job (
  step_id uuid not null,
  object text,
  uid text,
  generation bigint,
  hash text,
  schedule text,
  time_zone text,
  suspended boolean,
  since timestamp with time zone,
  trouble text,
  code text,
  words text,
  tried_hash text,
  tries integer,
  next_try_at timestamp with time zone,
  written_at timestamp with time zone not null default now(),
  fits_save timestamp with time zone,
  constraint workflow_cron_job_pkey PRIMARY KEY (step_id),
  constraint workflow_cron_job_check CHECK ((num_nulls(object, uid, generation, hash, schedule, time_zone, suspended, since) = ANY (ARRAY[0, 8]))),
  constraint workflow_cron_job_check1 CHECK ((num_nulls(trouble, words, tried_hash, tries, next_try_at) = ANY (ARRAY[0, 5]))),
  constraint workflow_cron_job_tries_check CHECK ((tries >= 0)),
  constraint workflow_cron_job_trouble_check CHECK ((trouble = ANY (ARRAY['refused'::text, 'foreign'::text, 'unreachable'::text])))
);

create table workflow_database (
  is_this boolean not null default true,
  id uuid not null default gen_random_uuid(),
  constraint workflow_database_pkey PRIMARY KEY (is_this),
  constraint workflow_database_is_this_check CHECK (is_this)
);

create table workflow_function (
  name text not null,
  config_schema jsonb not null,
  input_schema jsonb,
  output_schema jsonb,
  updated_at timestamp with time zone not null default now(),
  constraint workflow_function_pkey PRIMARY KEY (name)
);

create table workflow_hidden_page (
  parent_id uuid not null,
  claim uuid not null,
  first_item integer not null,
  job_ids uuid[] not null,
  constraint workflow_hidden_page_pkey PRIMARY KEY (parent_id, claim, first_item),
  constraint workflow_hidden_page_first_item_check CHECK ((first_item >= 0))
);

create table workflow_item_key (
  parent_id uuid not null,
  key uuid not null,
  constraint workflow_item_key_pkey PRIMARY KEY (parent_id, key)
);

create table workflow_job (
  id uuid not null,
  run_id uuid not null,
  step_id uuid not null,
  parent_id uuid,
  item_index integer,
  status text not null,
  seq integer not null default 1,
  attempt integer not null default 0,
  claim uuid,
  payload jsonb,
  output jsonb,
  error jsonb,
  run_after timestamp with time zone,
  enqueued_at timestamp with time zone default now(),
  traceparent text not null,
  worker text,
  created_at timestamp with time zone not null default now(),
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  beat_at timestamp with time zone,
  revision integer not null default 0,
  emitted integer not null default 0,
  cursor jsonb,
  accepted uuid,
  constraint workflow_job_pkey PRIMARY KEY (id),
  constraint workflow_job_attempt_check CHECK ((attempt >= 0)),
  constraint workflow_job_check CHECK (((finished_at IS NOT NULL) = (status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'cancelled'::text])))),
  constraint workflow_job_emitted_check CHECK ((emitted >= 0)),
  constraint workflow_job_revision_check CHECK ((revision >= 0)),
  constraint workflow_job_seq_check CHECK ((seq >= 1)),
  constraint workflow_job_status_check CHECK ((status = ANY (ARRAY['hidden'::text, 'staged'::text, 'queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text]))),
  constraint workflow_job_run_id_fkey FOREIGN KEY (run_id) REFERENCES workflow_run(id)
) with (fillfactor=50);
CREATE INDEX workflow_job_of_run ON public.workflow_job USING btree (run_id, id);

create table workflow_probe (
  function_name text not null,
  id uuid not null,
  round integer not null default 1,
  sent_at timestamp with time zone not null default now(),
  times integer not null default 1,
  seen_at timestamp with time zone,
  passed_at timestamp with time zone,
  constraint workflow_probe_pkey PRIMARY KEY (function_name),
  constraint workflow_probe_check CHECK (((passed_at IS NOT NULL) = (round = 2))),
  constraint workflow_probe_round_check CHECK ((round = ANY (ARRAY[1, 2]))),
  constraint workflow_probe_times_check CHECK ((times >= 1))
);

create table workflow_probed_job (
  function_name text not null,
  job_id uuid not null,
  seq integer not null,
  constraint workflow_probed_job_pkey PRIMARY KEY (function_name, job_id)
);

create table workflow_run (
  id uuid not null,
  workflow_id uuid not null,
  version integer not null,
  trigger text not null,
  idempotency_key text not null,
  status text not null,
  created_at timestamp with time zone not null default now(),
  finished_at timestamp with time zone,
  constraint workflow_run_pkey PRIMARY KEY (id),
  constraint workflow_run_workflow_id_idempotency_key_key UNIQUE (workflow_id, idempotency_key),
  constraint workflow_run_check CHECK (((finished_at IS NULL) = (status = ANY (ARRAY['running'::text, 'cancelling'::text])))),
  constraint workflow_run_idempotency_key_check CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 500))),
  constraint workflow_run_status_check CHECK ((status = ANY (ARRAY['running'::text, 'cancelling'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text, 'skipped'::text]))),
  constraint workflow_run_trigger_check CHECK ((trigger = ANY (ARRAY['cron'::text, 'manual'::text]))),
  constraint workflow_run_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES workflow(id)
);
CREATE INDEX workflow_run_of_workflow ON public.workflow_run USING btree (workflow_id, id);
CREATE INDEX workflow_run_open ON public.workflow_run USING btree (id) WHERE (status = ANY (ARRAY['running'::text, 'cancelling'::text]));

create table workflow_run_step (
  run_id uuid not null,
  step_id uuid not null,
  staged bigint not null default 0,
  belt bigint not null default 0,
  succeeded bigint not null default 0,
  failed bigint not null default 0,
  cancelled bigint not null default 0,
  released_to uuid,
  constraint workflow_run_step_pkey PRIMARY KEY (run_id, step_id),
  constraint workflow_run_step_belt_check CHECK ((belt >= 0)),
  constraint workflow_run_step_cancelled_check CHECK ((cancelled >= 0)),
  constraint workflow_run_step_failed_check CHECK ((failed >= 0)),
  constraint workflow_run_step_staged_check CHECK ((staged >= 0)),
  constraint workflow_run_step_succeeded_check CHECK ((succeeded >= 0)),
  constraint workflow_run_step_run_id_fkey FOREIGN KEY (run_id) REFERENCES workflow_run(id)
);

create table workflow_schedule (
  step_id uuid not null,
  schedule text not null,
  time_zone text not null,
  suspended boolean not null,
  since timestamp with time zone not null,
  constraint workflow_schedule_pkey PRIMARY KEY (step_id)
);

create table workflow_step (
  id uuid not null,
  version integer not null,
  workflow_id uuid not null,
  "position" integer not null,
  name text not null,
  function_name text not null,
  config jsonb not null default '{}'::jsonb,
  next_step_id uuid,
  output_type text,
  retry jsonb not null default '{}'::jsonb,
  timeout_ms integer,
  constraint workflow_step_pkey PRIMARY KEY (id, version),
  constraint workflow_step_workflow_id_version_name_key UNIQUE (workflow_id, version, name),
  constraint workflow_step_config_check CHECK ((jsonb_typeof(config) = 'object'::text)),
  constraint workflow_step_function_name_check CHECK (((length(function_name) >= 1) AND (length(function_name) <= 200))),
  constraint workflow_step_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200))),
  constraint workflow_step_output_type_check CHECK ((output_type = ANY (ARRAY['single'::text, 'multiple'::text]))),
  constraint workflow_step_position_check CHECK (("position" >= 0)),
  constraint workflow_step_retry_check CHECK ((jsonb_typeof(retry) = 'object'::text)),
  constraint workflow_step_timeout_ms_check CHECK ((timeout_ms > 0)),
  constraint workflow_step_next_step_id_version_fkey FOREIGN KEY (next_step_id, version) REFERENCES workflow_step(id, version) DEFERRABLE INITIALLY DEFERRED,
  constraint workflow_step_workflow_id_fkey FOREIGN KEY (workflow_id) REFERENCES workflow(id)
);
CREATE TRIGGER workflow_step_is_final BEFORE UPDATE ON public.workflow_step FOR EACH ROW EXECUTE FUNCTION workflow_step_is_final();

create table workflow_waiting (
  run_id uuid not null,
  step_id uuid not null,
  job_id uuid not null,
  constraint workflow_waiting_pkey PRIMARY KEY (run_id, step_id, job_id)
);
