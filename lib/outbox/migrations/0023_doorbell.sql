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
