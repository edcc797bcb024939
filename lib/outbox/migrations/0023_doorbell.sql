-- Both tables are locked before either is changed, and for a tenth of a second at a time: programs that write at the same
-- moment lock them in one order or in the other, and none of them is to wait behind a wait for one that stays open.
do $$
declare
  usual constant text := current_setting('lock_timeout');
begin
  loop
    begin
      perform set_config('lock_timeout', '100ms', true);
      lock table outbox_message, outbox_scheduled in share row exclusive mode;
      perform set_config('lock_timeout', usual, true);
      exit;
    exception when lock_not_available then
      perform pg_sleep(0.1);
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
