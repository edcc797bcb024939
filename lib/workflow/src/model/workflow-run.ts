import { type InferEntity, defineEntity, p } from '@mikro-orm/postgresql'
import { runStatuses } from './run-status.ts'

/** One pass of a payload through one version of a workflow. */
export const WorkflowRun = defineEntity({
  name: 'WorkflowRun',
  tableName: 'workflow_run',
  properties: {
    id: p.uuid().primary(),
    workflowId: p.uuid(),
    version: p.integer(),
    trigger: p.enum(['cron', 'manual']),
    /** A start under a key that the workflow has seen is the run it began then. */
    idempotencyKey: p.text(),
    status: p.enum(runStatuses),
    createdAt: p.datetime().defaultRaw('now()'),
    finishedAt: p.datetime().nullable(),
  },
})

export type WorkflowRun = InferEntity<typeof WorkflowRun>
