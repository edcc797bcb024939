import { type InferEntity, defineEntity, p } from '@mikro-orm/postgresql'

/** How many jobs of a run stand where at one step, exact at every commit. `belt` counts the queued and the running. */
export const WorkflowRunStep = defineEntity({
  name: 'WorkflowRunStep',
  tableName: 'workflow_run_step',
  properties: {
    runId: p.uuid().primary(),
    stepId: p.uuid().primary(),
    staged: p.bigint('bigint').defaultRaw('0'),
    belt: p.bigint('bigint').defaultRaw('0'),
    succeeded: p.bigint('bigint').defaultRaw('0'),
    failed: p.bigint('bigint').defaultRaw('0'),
    cancelled: p.bigint('bigint').defaultRaw('0'),
    /** The last job that was released from behind the window, or one before it that has begun to wait since. */
    releasedTo: p.uuid().nullable(),
  },
})

export type WorkflowRunStep = InferEntity<typeof WorkflowRunStep>
