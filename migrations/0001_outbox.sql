-- The outbox: messages that will be published because their transaction committed.

-- A lane is a sequence of messages that one relay publishes at a time. Every pod writes to a home lane of its own.
create table outbox_lane (
  id int generated always as identity primary key,
  name text not null unique check (length(name) between 1 and 253),
  kind text not null default 'pod' check (kind in ('pod', 'key', 'always')),
  created_at timestamptz not null default now()
);

-- Lane 1, of those who name none.
insert into outbox_lane (name, kind) values ('default', 'always');

-- No foreign key to outbox_lane: each insert would lock the lane's row, and every writer of a pod shares that row.
create table outbox_message (
  lane int not null,
  id bigint generated always as identity,
  message_id uuid not null,
  exchange text not null default '',
  routing_key text not null,
  headers jsonb not null default '{}' check (jsonb_typeof(headers) = 'object'),
  payload jsonb not null,
  created_at timestamptz not null default now(),
  primary key (lane, id)
);

-- Messages for later (retries, delays). A relay moves those that are due, so the table it reads all the time stays small.
create table outbox_scheduled (
  lane int not null,
  id bigint generated always as identity,
  message_id uuid not null,
  exchange text not null default '',
  routing_key text not null,
  headers jsonb not null default '{}' check (jsonb_typeof(headers) = 'object'),
  payload jsonb not null,
  created_at timestamptz not null default now(),
  available_at timestamptz not null,
  primary key (lane, id)
);
create index outbox_scheduled_due on outbox_scheduled (lane, available_at);

-- The doorbell: a hint that a lane has rows, never the delivery itself. The relay also polls, so a lost ring costs only time.
create function outbox_ring() returns trigger language plpgsql as $$
begin
  perform pg_notify('outbox_lane_' || lane, '') from (select distinct lane from inserted) as lanes;
  return null;
end
$$;

create trigger outbox_message_ring after insert on outbox_message
  referencing new table as inserted for each statement execute function outbox_ring();

-- A relay that sleeps until its next due row must hear of one that is due sooner.
create trigger outbox_scheduled_ring after insert on outbox_scheduled
  referencing new table as inserted for each statement execute function outbox_ring();
