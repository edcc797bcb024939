/** Tables that are drained all the time, each with an insert of many rows into it. */
const drainedTables = {
  outbox_message: `(lane, message_id, exchange, routing_key, payload) select 0, gen_random_uuid(), '', '', '1'`,
  outbox_scheduled: `(lane, message_id, exchange, routing_key, payload, available_at)
    select 0, gen_random_uuid(), '', '', '1', now()`,
  outbox_parked: `(lane, message_id, exchange, routing_key, payload, id, headers, created_at, reason, attempts)
    select 0, gen_random_uuid(), '', '', '1', number, '{}', now(), '', 1`,
  workflow_waiting: `select gen_random_uuid(), gen_random_uuid(), gen_random_uuid()`,
  workflow_hidden_page: `select gen_random_uuid(), gen_random_uuid(), 0, array[gen_random_uuid()]`,
  workflow_probe: `(function_name, id) select number::text, gen_random_uuid()`,
  workflow_probed_job: `select number::text, gen_random_uuid(), 1`,
}

/**
 * Leaves them with what Postgres knows of tables that are drained: pages, and not one row in them. By such statistics
 * every plan costs the same until it runs, so one that hangs on them shows in the tests.
 */
export const drainTables: readonly string[] = [
  ...Object.entries(drainedTables).flatMap(([table, rows]) => [
    `insert into ${table} ${rows} from generate_series(1, 200) as number`,
    `alter table ${table} set (autovacuum_enabled = off)`,
    `delete from ${table}`,
    `analyze ${table}`,
  ]),
  ...['outbox_message', 'outbox_scheduled'].map((table) => `alter table ${table} alter column id restart`),
]
