-- How many calls may go to an API that counts them, one row an account: what all pods, steps and jobs share that use it.
-- The name is made by who calls, and holds no secret. docs/decisions/0028 has the argument.
create table rate_limit (
  name text primary key,
  -- When the last calls had, or will have, their turn, in order; as many as one window may have.
  turns timestamptz[] not null default '{}',
  -- Until when the API wants no call at all, whoever has a turn before.
  slowed_until timestamptz not null default '-infinity'
);
