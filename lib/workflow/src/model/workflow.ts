import { type InferEntity, defineEntity, p } from '@mikro-orm/postgresql'

/** A named automation. Saving it raises `version` and writes its steps anew under that version. */
export const Workflow = defineEntity({
  name: 'Workflow',
  tableName: 'workflow',
  properties: {
    id: p.uuid().primary(),
    name: p.text(),
    /** Whose automation it is; null is nobody's in particular. */
    client: p.text().nullable(),
    automationType: p.enum(['step']),
    version: p.integer(),
    enabled: p.boolean(),
    createdAt: p.datetime().defaultRaw('now()'),
    updatedAt: p.datetime().defaultRaw('now()'),
    deletedAt: p.datetime().nullable(),
  },
})

export type Workflow = InferEntity<typeof Workflow>
