import { type InferEntity, defineEntity, p } from '@mikro-orm/postgresql'
import type { RetryPolicy } from './retry-policy.ts'
import { Workflow } from './workflow.ts'

/** One station of a workflow in one version of it; a row never changes. */
export const WorkflowStep = defineEntity({
  name: 'WorkflowStep',
  tableName: 'workflow_step',
  properties: {
    id: p.uuid().primary(),
    version: p.integer().primary(),
    /** A relation, so that a unit of work writes the workflow before its steps. */
    workflowId: () => p.manyToOne(Workflow).mapToPk().joinColumn('workflow_id'),
    /** Its place in the document that was saved, from 0. */
    position: p.integer(),
    name: p.text(),
    functionName: p.text(),
    config: p.json<Record<string, unknown>>(),
    nextStepId: p.uuid().nullable(),
    outputType: p.enum(['single', 'multiple']).nullable(),
    retry: p.json<Partial<RetryPolicy>>(),
    timeoutMs: p.integer().nullable(),
  },
})

export type WorkflowStep = InferEntity<typeof WorkflowStep>
