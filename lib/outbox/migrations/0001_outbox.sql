-- The outbox: messages that will be published because their transaction committed.

-- Which of these files the database has. Each notes itself, so the note is there whoever ran it, and with what tool.
create table outbox_migration (
  name text primary key,
  applied_at timestamptz not null default now()
);
insert into outbox_migration (name) values ('0001_outbox');

-- A lane is a sequence of messages that one relay publishes at a time. Every pod writes to a home lane of its own.
create table outbox_lane (
  id int generated always as identity primary key,
  name text not null unique check (length(name) between 1 and 253),
  kind text not null default 'pod' check (kind in ('pod', 'key', 'always')),
  -- Names the exclusive queue by which RabbitMQ knows the lane's owner, apart from those of other databases.
  fence uuid not null default gen_random_uuid(),
  created_at timestamptz not null default now(),
  -- When it was last found to have an owner or rows, give or take an hour. Pods come and go; their lanes go a week later.
  seen_at timestamptz not null default now()
);

-- Lane 1, of those who name none.
insert into outbox_lane (name, kind) values ('default', 'always');

-- Messages with an ordering key go to one of these, by the key's hash, so that one relay carries all of a key. Their number
-- must not change while there are rows: a key would be in two lanes.
insert into outbox_lane (name, kind) select 'key ' || number, 'key' from generate_series(1, 8) as number;

-- No foreign key to outbox_lane: each insert would lock the lane's row, and every writer of a pod shares that row.
-- A payload is json, not jsonb, since it is published as it was given and nobody here looks into it; or it is bytes.
create table outbox_message (
  lane int not null,
  id bigint generated always as identity,
  message_id uuid not null,
  exchange text not null default '',
  routing_key text not null,
  ordering_key text collate "C",
  headers json not null default '{}' check (json_typeof(headers) = 'object'),
  payload json,
  bytes bytea,
  created_at timestamptz not null default now(),
  primary key (lane, id),
  check (num_nonnulls(payload, bytes) = 1)
);

-- A relay steps from key to key of a key lane, to the first row of each. Rows without a key cost nothing here.
create index outbox_message_key on outbox_message (lane, ordering_key, id) where ordering_key is not null;

-- Messages for later (retries, delays). A relay moves those that are due, so the table it reads all the time stays small.
create table outbox_scheduled (
  lane int not null,
  id bigint generated always as identity,
  message_id uuid not null,
  exchange text not null default '',
  routing_key text not null,
  ordering_key text collate "C",
  headers json not null default '{}' check (json_typeof(headers) = 'object'),
  payload json,
  bytes bytea,
  created_at timestamptz not null default now(),
  available_at timestamptz not null,
  primary key (lane, id),
  check (num_nonnulls(payload, bytes) = 1)
);
create index outbox_scheduled_due on outbox_scheduled (lane, available_at, id);

-- Messages that the broker refused too often. One with an ordering key goes on holding its key back until it is tried again,
-- under its old id, or dropped.
create table outbox_parked (
  lane int not null,
  id bigint not null,
  message_id uuid not null,
  exchange text not null,
  routing_key text not null,
  ordering_key text collate "C",
  headers json not null,
  payload json,
  bytes bytea,
  created_at timestamptz not null,
  reason text not null,
  attempts int not null check (attempts > 0),
  parked_at timestamptz not null default now(),
  primary key (lane, id)
);
create index outbox_parked_key on outbox_parked (lane, ordering_key) where ordering_key is not null;

-- Messages that a consumer has received, so that it takes each once. Rows are pruned by age.
create table inbox (
  consumer text not null check (length(consumer) between 1 and 255),
  message_id uuid not null,
  received_at timestamptz not null default now(),
  primary key (consumer, message_id)
);
create index inbox_received_at on inbox (received_at);

-- A transaction has its xid before it draws an id. So a relay that draws an xid after it has read an id knows that every
-- transaction with a lower id is older than that, and can tell when all of them have ended.
create function outbox_draw_xid() returns trigger language plpgsql as $$
declare
  -- An expression, not a query: it costs a writer a tenth.
  drawn constant xid8 := pg_current_xact_id();
begin
  return null;
end
$$;

create trigger outbox_message_xid before insert on outbox_message
  for each statement execute function outbox_draw_xid();

-- The doorbell: a relay that sleeps holds its lane's advisory lock of this class ('outs' in ASCII) alone. Who asks for a
-- share of it, and gives it back at once, learns whether to ring, whatever its transaction's snapshot. It is asked for in
-- the trigger's condition, so a row that rings for nobody calls no function of PL/pgSQL; SQL's is inlined there.
create function outbox_sleeps(lane int) returns boolean language sql volatile
  return case when pg_try_advisory_lock_shared(x'6f757473'::int, lane)
    then not pg_advisory_unlock_shared(x'6f757473'::int, lane) else true end;

-- Rings for the lanes whose relay sleeps, once a transaction and lane. A NOTIFY takes a lock at commit and wakes every
-- listening session; in each transaction it made 16 writers ten times slower.
create function outbox_ring() returns trigger language plpgsql as $$
begin
  perform pg_notify('outbox_lane_' || new.lane, '');
  return null;
end
$$;

create trigger outbox_message_ring after insert on outbox_message
  for each row when (outbox_sleeps(new.lane)) execute function outbox_ring();

-- A relay that sleeps until its next due row must hear of one that is due sooner.
create trigger outbox_scheduled_ring after insert on outbox_scheduled
  for each row when (outbox_sleeps(new.lane)) execute function outbox_ring();
