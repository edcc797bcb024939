import { defineFunction } from '@esteira/workflow'
import { defineEntity, p } from '@mikro-orm/postgresql'
import * as z from 'zod'

export const Lead = defineEntity({
  name: 'Lead',
  tableName: 'lead',
  properties: { id: p.uuid().primary(), email: p.text() },
})

/** Writes a lead in the transaction that its job's end is written in, and passes its id on. */
export const saveLead = defineFunction({
  name: 'Leads.save',
  config: z.strictObject({}),
  input: z.object({ email: z.email() }),
  output: z.object({ leadId: z.uuid() }),
  unit: 'own',
  entities: [Lead],
  run: ({ em, job, payload }) => {
    em.create(Lead, { id: job.id, email: payload.email }, { persist: true })
    return { leadId: job.id }
  },
})
