import { queryable } from '@esteira/outbox'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'
import { type AppliedCronJob, type CronJobState, type Trouble, troubleKinds } from './cron-job-state.ts'

/** What is known of the CronJobs of steps, of all that have any, or of those that are named; by step id. */
export const readStates = async (
  em: EntityManager,
  stepIds: readonly string[] | null = null,
): Promise<Map<string, CronJobState>> => {
  const { rows } = await queryable(em).query(statesSql, [stepIds])
  return new Map(
    stateRows
      .parse(rows)
      .map((row) => [row.stepId, { stepId: row.stepId, applied: appliedOf(row), trouble: troubleOf(row) }]),
  )
}

const statesSql = `
  select step_id as "stepId", object, uid, generation::float8 as generation, hash, schedule, time_zone as "timeZone",
    suspended, (extract(epoch from since) * 1000)::float8 as "sinceMs",
    (extract(epoch from fits_save) * 1000)::float8 as "fitsSaveMs", trouble, code, words, tried_hash as "triedHash",
    tries, (extract(epoch from next_try_at) * 1000)::float8 as "nextTryMs"
  from workflow_cron_job
  where $1::uuid[] is null or step_id = any($1)`

const applied = z.object({
  object: z.string(),
  uid: z.string(),
  generation: z.int(),
  hash: z.string(),
  schedule: z.string(),
  timeZone: z.string(),
  suspended: z.boolean(),
  sinceMs: z.number(),
  fitsSaveMs: z.number().nullable(),
})
const trouble = z.object({
  trouble: z.enum(troubleKinds),
  code: z.string().nullable(),
  words: z.string(),
  triedHash: z.string(),
  tries: z.int(),
  nextTryMs: z.number(),
})
const row = z.looseObject({ stepId: z.string(), object: z.string().nullable(), trouble: z.string().nullable() })
const stateRows = z.array(row)

const appliedOf = (of: z.output<typeof row>): AppliedCronJob | null => {
  if (of.object === null) return null
  const { sinceMs, fitsSaveMs, ...rest } = applied.parse(of)
  return { ...rest, since: new Date(sinceMs), fitsSave: fitsSaveMs === null ? null : new Date(fitsSaveMs) }
}

const troubleOf = (of: z.output<typeof row>): Trouble | null => {
  if (of.trouble === null) return null
  const { trouble: kind, code, words, triedHash, tries, nextTryMs } = trouble.parse(of)
  return { kind, code, words, hash: triedHash, tries, nextTryAt: new Date(nextTryMs) }
}
