import { z } from '@hono/zod-openapi'
import { runStatuses, strictObject, type WorkflowRun } from '@esteira/workflow'

/** How a run may be started by hand. */
export const runInput = strictObject({
  payload: z
    .unknown()
    .optional()
    .openapi({ description: 'The first payload; for a CronJob in place of its config.payload' }),
  idempotencyKey: z.string().min(1).max(500).optional().openapi({
    description:
      'A key that the workflow has seen gives the run it began then; with another payload or step it is refused',
  }),
  step: z.string().min(1).optional().openapi({ description: 'The id or name of the step to start at' }),
}).openapi('RunInput')

const runMembers = {
  id: z.uuid(),
  workflowId: z.uuid(),
  version: z.int(),
  trigger: z.enum(['cron', 'manual']),
  idempotencyKey: z.string(),
  status: z.enum(runStatuses),
  createdAt: z.iso.datetime(),
  finishedAt: z.iso.datetime().nullable(),
}

/** A run as it is listed. */
export const runDocument = strictObject(runMembers).openapi('Run')

/** A run with how many of its jobs stand where; `belt` counts the queued and the running. */
export const runWithSteps = strictObject({
  ...runMembers,
  steps: z.array(
    strictObject({
      stepId: z.uuid(),
      name: z.string(),
      functionName: z.string(),
      staged: z.int(),
      belt: z.int(),
      succeeded: z.int(),
      failed: z.int(),
      cancelled: z.int(),
    }),
  ),
}).openapi('RunWithSteps')

export type RunInput = z.output<typeof runInput>
export type RunDocument = z.output<typeof runDocument>
export type RunWithSteps = z.output<typeof runWithSteps>

export const runDocumentOf = (run: WorkflowRun): RunDocument => ({
  id: run.id,
  workflowId: run.workflowId,
  version: run.version,
  trigger: run.trigger,
  idempotencyKey: run.idempotencyKey,
  status: run.status,
  createdAt: run.createdAt.toISOString(),
  finishedAt: run.finishedAt?.toISOString() ?? null,
})
