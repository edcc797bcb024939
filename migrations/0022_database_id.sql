-- What this database is known by outside of it: a CronJob says whose it is, and one of another database is left alone. A
-- copy of a database is the same one.
create table workflow_database (
  is_this boolean primary key default true check (is_this),
  id uuid not null default gen_random_uuid()
);
insert into workflow_database default values;
