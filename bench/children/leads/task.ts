import * as z from 'zod'

/** Where the control finds what it needs; it comes as JSON in the only argument. */
export const leadsTaskSchema = z.object({
  databaseUrl: z.string(),
  crmUrl: z.string(),
  baseUrl: z.string(),
  credentials: z.record(z.string(), z.string()),
  leads: z.int(),
  inHand: z.int(),
})

export type LeadsTask = z.infer<typeof leadsTaskSchema>

export const segmentationId = 1

export const leadsTableSql = 'create table leads (uuid uuid primary key, name text, email text)'

/** What a lead ends in, on both sides. */
export const insertLeadSql = 'insert into leads (uuid, name, email) values ($1, $2, $3) on conflict (uuid) do nothing'

const contact = z.object({ uuid: z.string(), name: z.string().nullish(), email: z.string().nullish() })

/** The values of `insertLeadSql` for a contact of the API. */
export const paramsOf = (payload: unknown): unknown[] => {
  const { uuid, name, email } = contact.parse(payload)
  return [uuid, name, email]
}
