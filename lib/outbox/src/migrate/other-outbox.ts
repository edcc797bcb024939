/**
 * The schema in which this database has an outbox already, if that is another one than where the tables would be made.
 * Lanes are owned and rung for by locks and channels of the whole database, which two registers would share.
 */
export const otherOutboxSql = `
  select nspname::text as schema from pg_class join pg_namespace on pg_namespace.oid = relnamespace
  where relname = 'outbox_lane' and relkind = 'r' and nspname is distinct from current_schema()
    and nspname !~ '^pg_temp'
  limit 1`

export const saysOtherOutbox = (schema: string): string =>
  `the schema ${schema} of this database has an outbox: a database has one, expected ${schema} first in the search_path`

/** A statement that fails, saying so, where there is one: for those who run the migrations with a tool of their own. */
export const refuseOtherSql = `do $$
declare
  other constant text := (${otherOutboxSql});
begin
  if other is not null then
    raise exception '${saysOtherOutbox('%')}', other, other;
  end if;
end
$$;
`
