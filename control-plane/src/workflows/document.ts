import { z } from '@hono/zod-openapi'
import { maxTimeoutMs, notBlank, retryPolicySchema, strictObject } from '@esteira/workflow'
import { uuidInput } from '../http/pages.ts'

/** As many as a page of a list may have. */
export const maxSteps = 500

const name = z.string().max(200).regex(notBlank)

const stepMembers = {
  name,
  functionName: name,
  outputType: z.enum(['single', 'multiple']).nullable(),
  timeoutMs: z.int().min(1).max(maxTimeoutMs).nullable(),
}

/** A step as a client sends it. */
export const stepInput = strictObject({
  id: uuidInput.optional().openapi({ description: 'Keeps the step through a change of its name' }),
  ...stepMembers,
  config: z.record(z.string(), z.unknown()).default({}),
  nextStep: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .openapi({ description: 'The id or the name of a step of the same workflow' }),
  outputType: stepMembers.outputType.default(null),
  retry: strictObject(retryPolicySchema.partial().shape).default({}),
  timeoutMs: stepMembers.timeoutMs.default(null),
}).openapi('StepInput')

/** A step as it is answered: `nextStep` is an id. */
export const stepDocument = strictObject({
  id: z.uuid(),
  ...stepMembers,
  config: z.record(z.string(), z.unknown()),
  nextStep: z.uuid().nullable(),
  retry: retryPolicySchema.partial(),
}).openapi('Step')

const workflowMembers = {
  name,
  client: name.nullable().default(null).openapi({ description: 'Whose automation it is' }),
  automationType: z.enum(['step']).default('step'),
  enabled: z.boolean().default(true),
}

/** A new workflow as a client sends it. */
export const newWorkflowInput = strictObject({
  ...workflowMembers,
  steps: z.array(stepInput).max(maxSteps).default([]),
}).openapi('NewWorkflow')

/** A whole workflow as a client sends it to take the place of the one before. What was read can be sent back. */
export const workflowInput = strictObject({
  ...workflowMembers,
  steps: z.array(stepInput).max(maxSteps),
  id: z.string().optional().openapi({ description: 'Ignored: the address says which' }),
  version: z.int().optional().openapi({ description: 'Ignored: If-Match says which' }),
  createdAt: z.string().optional().openapi({ description: 'Ignored' }),
  updatedAt: z.string().optional().openapi({ description: 'Ignored' }),
}).openapi('WorkflowInput')

/** A workflow as it is answered. */
export const workflowDocument = strictObject({
  id: z.uuid(),
  name: z.string(),
  client: z.string().nullable(),
  automationType: z.enum(['step']),
  enabled: z.boolean(),
  version: z.int(),
  steps: z.array(stepDocument),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
}).openapi('Workflow')

export type StepInput = z.output<typeof stepInput>
export type StepDocument = z.output<typeof stepDocument>
export type WorkflowInput = Pick<
  z.output<typeof workflowInput>,
  'name' | 'client' | 'automationType' | 'enabled' | 'steps'
>
export type WorkflowDocument = z.output<typeof workflowDocument>
