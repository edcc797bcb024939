import { type InferEntity, defineEntity, p } from '@mikro-orm/postgresql'

/** What a function is, in JSON Schema, as its worker published it. */
export const WorkflowFunction = defineEntity({
  name: 'WorkflowFunction',
  tableName: 'workflow_function',
  properties: {
    name: p.text().primary(),
    configSchema: p.json<Record<string, unknown>>(),
    inputSchema: p.json<Record<string, unknown>>().nullable(),
    outputSchema: p.json<Record<string, unknown>>().nullable(),
    updatedAt: p.datetime().defaultRaw('now()'),
  },
})

export type WorkflowFunction = InferEntity<typeof WorkflowFunction>
