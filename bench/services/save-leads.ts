import { randomUUID } from 'node:crypto'
import { insertLeadSql, segmentationId } from '../children/leads/task.ts'
import type { Place } from './open-place.ts'

/** Saves the workflow of `leads`: a tick, the contacts of a segmentation, and an insert for each; gives the tick's step. */
export const saveLeads = async ({ db }: Place): Promise<string> => {
  const [id, tickId, getId, saveId] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()]
  await db.query(`insert into workflow (id, name, automation_type, version) values ($1, $2, 'step', 1)`, [id, id])
  const tick = { schedule: '0 8 * * *', timeZone: 'America/Sao_Paulo', payload: [{ segmentationId }] }
  const get = { segmentationId: '{{ payload.segmentationId }}' }
  const save = {
    connection: 'crm',
    sql: insertLeadSql,
    params: ['{{ payload.uuid }}', '{{ payload.name }}', '{{ payload.email }}'],
  }
  await db.query(
    `insert into workflow_step (id, version, workflow_id, position, name, function_name, config, output_type, next_step_id)
     values ($1, 1, $4, 0, 'tick', 'CronJob', $5, 'multiple', $2),
            ($2, 1, $4, 1, 'get', 'RdStation.getLeads', $6, 'multiple', $3),
            ($3, 1, $4, 2, 'save', 'Database.query', $7, null, null)`,
    [tickId, getId, saveId, id, tick, get, save],
  )
  return tickId
}
