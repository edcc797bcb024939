-- Both tables are locked before either is changed. Programs that write at the same moment lock them in one order or in the
-- other, so only the first is waited for with patience, and the other not for as long as Postgres takes to look for a
-- deadlock; the next try begins with that one. And while we wait, who writes anew waits behind us, so each try is only
-- twice as patient as the one before, up to the caller's own lock_timeout, or 5 s: transactions that are longer would hold
-- up all of its kind, and an autovacuum gives way after a second. That long each table is waited for once.
do $$
declare
  usual constant text := current_setting('lock_timeout');
  longest_ms constant int := (select coalesce(nullif(setting::int, 0), 5000) from pg_settings where name = 'lock_timeout');
  second_ms constant int := (select greatest(setting::int / 2, 1) from pg_settings where name = 'deadlock_timeout');
  first_ms int := least(100, longest_ms);
  waited_ms int;
  longest_tries int := 0;
  first text := 'outbox_message';
  second text := 'outbox_scheduled';
begin
  loop
    begin
      waited_ms := first_ms;
      perform set_config('lock_timeout', waited_ms::text, true);
      execute format('lock table %I in share row exclusive mode', first);
      waited_ms := least(first_ms, second_ms);
      perform set_config('lock_timeout', waited_ms::text, true);
      execute format('lock table %I in share row exclusive mode', second);
      perform set_config('lock_timeout', usual, true);
      exit;
    exception when lock_not_available then
      if first_ms = longest_ms then
        longest_tries := longest_tries + 1;
      end if;
      if waited_ms = longest_ms or longest_tries = 2 then
        raise lock_not_available using message = format(
          'messages are in use by a transaction that has not ended in %s ms: migrate again when it has (xact_start in '
          'pg_stat_activity tells since when each is open)', waited_ms);
      end if;
      -- Who waited behind this one is let go first.
      perform pg_sleep(first_ms / 1000.0);
      first_ms := least(2 * first_ms, longest_ms);
      select second, first into first, second;
    end;
  end loop;
end
$$;

-- The doorbell is asked for in the triggers' own conditions: a function in one of SQL's is inlined, and that for each
-- statement anew. 1869968499 is its class, 'outs' in ASCII, as a number that is there already: one to be made of a text
-- is made for each statement as well.
create or replace trigger outbox_message_ring after insert on outbox_message
  for each row when (
    case when pg_try_advisory_lock_shared(1869968499, new.lane)
      then not pg_advisory_unlock_shared(1869968499, new.lane) else true end
  ) execute function outbox_ring();
create or replace trigger outbox_scheduled_ring after insert on outbox_scheduled
  for each row when (
    case when pg_try_advisory_lock_shared(1869968499, new.lane)
      then not pg_advisory_unlock_shared(1869968499, new.lane) else true end
  ) execute function outbox_ring();
drop function outbox_sleeps(int);
insert into outbox_migration (name) values ('0023_doorbell');
