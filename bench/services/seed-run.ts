import { randomUUID } from 'node:crypto'
import type { Place } from './open-place.ts'

/** A workflow of one step. */
export type OneStep = { id: string; version: number; stepId: string }

export const saveOneStep = async ({ db }: Place, functionName: string): Promise<OneStep> => {
  const [id, stepId] = [randomUUID(), randomUUID()]
  await db.query(`insert into workflow (id, name, automation_type, version) values ($1, $2, 'step', 1)`, [id, id])
  await db.query(
    `insert into workflow_step (id, version, workflow_id, position, name, function_name)
     values ($1, 1, $2, 0, 'work', $3)`,
    [stepId, id, functionName],
  )
  return { id, version: 1, stepId }
}

/** A run of so many jobs that all wait behind the window, as a fan-out leaves them; resolves to its id. */
export const seedRun = async ({ db }: Place, { id, stepId }: OneStep, jobs: number): Promise<string> => {
  const run = randomUUID()
  await db.query(
    `insert into workflow_run (id, workflow_id, version, trigger, idempotency_key, status)
     values ($1, $2, 1, 'manual', $3, 'running')`,
    [run, id, run],
  )
  await db.query(`insert into workflow_run_step (run_id, step_id, staged) values ($1, $2, $3)`, [run, stepId, jobs])
  await db.query(insertJobsSql, [run, stepId, jobs])
  await db.query(`insert into workflow_waiting select run_id, step_id, id from workflow_job where run_id = $1`, [run])
  await db.query('vacuum analyze workflow_job, workflow_waiting')
  return run
}

// Ids that rise, as those of a worker do.
const insertJobsSql = `
  insert into workflow_job (id, run_id, step_id, item_index, status, payload, traceparent, enqueued_at)
  select (lpad(to_hex((extract(epoch from now()) * 1000)::bigint + item), 12, '0') || '70008'
           || left(md5($1::text || item), 15))::uuid,
         $1::uuid, $2::uuid, item, 'staged', jsonb_build_object('item', item),
         '00-' || md5($1::text || item) || '-' || left(md5(item::text), 16) || '-01', null
  from generate_series(0, $3::int - 1) as item`
