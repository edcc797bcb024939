-- Both tables are locked before either is changed. Programs that write at the same moment lock them in one order or in the
-- other, so only the first is waited for with patience, and the next try begins with the other. And while we wait, who
-- writes anew waits behind us, so each try is only twice as patient as the one before, up to the caller's own lock_timeout,
-- or 5 s: transactions that are longer would hold up all of its kind, and an autovacuum gives way after a second. If that is
-- not enough for the first table there is no other try; for both of them there are four.
--
-- The second is waited for with the first in our hands, and whoever has it may be waiting for that: a deadlock. Each who
-- waits looks for one once, after deadlock_timeout, and is ended where it finds one. So we give up before anybody can look:
-- who comes from now on has all of that time, of which we take half, and of those who wait already, for whatever it is, the
-- one that looks next decides. A tenth is for clocks and schedulers.
do $$
declare
  usual constant text := current_setting('lock_timeout');
  longest_ms constant int := (select coalesce(nullif(setting::int, 0), 5000) from pg_settings where name = 'lock_timeout');
  deadlock_ms constant int := (select setting::int from pg_settings where name = 'deadlock_timeout');
  first_ms int := least(100, longest_ms);
  awaited text;
  waited_ms int;
  longest_tries int := 0;
  first text := 'outbox_message';
  second text := 'outbox_scheduled';
begin
  loop
    begin
      awaited := first;
      waited_ms := first_ms;
      perform set_config('lock_timeout', waited_ms::text, true);
      execute format('lock table %I in share row exclusive mode', awaited);
      awaited := second;
      waited_ms := (
        select greatest(1, least(first_ms, deadlock_ms / 2, 0.9 * deadlock_ms - coalesce(max(ms), 0)))
        from (
          select extract(epoch from clock_timestamp() - waitstart) * 1000 as ms from pg_locks where not granted
        ) as waiting
        where ms < deadlock_ms
      );
      perform set_config('lock_timeout', waited_ms::text, true);
      execute format('lock table %I in share row exclusive mode', awaited);
      perform set_config('lock_timeout', usual, true);
      exit;
    exception when lock_not_available then
      if first_ms = longest_ms then
        longest_tries := longest_tries + 1;
      end if;
      if waited_ms = longest_ms or longest_tries = 4 then
        raise lock_not_available using message = format(
          '%s is in use by a transaction that has not ended in %s ms: migrate again when it has (xact_start in '
          'pg_stat_activity tells since when each is open)', awaited, waited_ms);
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
