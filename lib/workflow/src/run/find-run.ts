import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/** The run that a key has begun in a workflow, or left out beside another; null if it has not yet. */
export const findRun = async (
  em: EntityManager,
  { workflowId, idempotencyKey }: { workflowId: string; idempotencyKey: string },
): Promise<string | null> => {
  const { rows } = await queryable(em).query(
    `select id from workflow_run where workflow_id = $1 and idempotency_key = $2`,
    [workflowId, idempotencyKey],
  )
  return runRows.parse(rows)[0]?.id ?? null
}

const runRows = z.array(z.object({ id: z.string() }))
