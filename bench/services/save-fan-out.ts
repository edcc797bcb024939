import { randomUUID } from 'node:crypto'
import type { Place } from './open-place.ts'

/** A workflow of two steps: the first gives items, and the second gets one job for each. */
export type TwoSteps = { id: string; version: number; stepId: string; nextStepId: string }

export const saveFanOut = async ({ db }: Place, names: { first: string; next: string }): Promise<TwoSteps> => {
  const [id, stepId, nextStepId] = [randomUUID(), randomUUID(), randomUUID()]
  await db.query(`insert into workflow (id, name, automation_type, version) values ($1, $2, 'step', 1)`, [id, id])
  await db.query(
    `insert into workflow_step (id, version, workflow_id, position, name, function_name, output_type, next_step_id)
     values ($1, 1, $3, 0, 'give', $4, 'multiple', $2), ($2, 1, $3, 1, 'take', $5, null, null)`,
    [stepId, nextStepId, id, names.first, names.next],
  )
  return { id, version: 1, stepId, nextStepId }
}
