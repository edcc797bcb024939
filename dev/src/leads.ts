import * as z from 'zod'
import { queryOnce } from './house/query-once.ts'

const leads = z.object({ count: z.int(), last: z.array(z.object({ name: z.string(), email: z.string() })) })

export type Leads = z.infer<typeof leads>

const sql = `
  select (select count(*)::int from leads) as count,
         coalesce((select json_agg(newest) from (
           select coalesce(name, '') as name, coalesce(email, '') as email
           from leads order by first_seen_at desc, uuid limit $1
         ) newest), '[]') as last`

/** How many leads the table holds, and the ones that came last. */
export const readLeads = async (crmUrl: string, last: number): Promise<Leads> =>
  z.tuple([leads]).parse(await queryOnce(crmUrl, sql, [last]))[0]

const ofRunSql = 'select count(*)::int as count from leads where last_run = $1'

/** How many leads a run has saved, be they new or there already; those that a newer one saved too are the newer one's. */
export const countLeadsOf = async (crmUrl: string, runId: string): Promise<number> =>
  z.tuple([leads.pick({ count: true })]).parse(await queryOnce(crmUrl, ofRunSql, [runId]))[0].count
