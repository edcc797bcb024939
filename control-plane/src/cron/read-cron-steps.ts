import { queryable } from '@esteira/outbox'
import { cronJobConfig, type CronJobConfig, cronJobFunctionName, cronOf } from '@esteira/workflow'
import type { EntityManager } from '@mikro-orm/postgresql'
import * as z from 'zod'

/**
 * A CronJob step of a workflow's current version. `config` is null when the row holds none that this version knows; its
 * payload is left where it is, since it may be long and only the tick needs it.
 */
export type CronStep = {
  stepId: string
  name: string
  workflowId: string
  workflowName: string
  /** Of the workflow; a disabled one does not tick. */
  enabled: boolean
  /** When the workflow was last saved, by the database's clock. */
  savedAt: Date
  /** Since when it ticks on the schedule that it has; what was due before was due by another one, or suspended. */
  since: Date
  config: Omit<CronJobConfig, 'payload'> | null
}

/** The cron steps of all workflows that are not deleted, and the database's clock. */
export const readCronSteps = async (em: EntityManager): Promise<{ now: Date; steps: CronStep[] }> => {
  const { rows } = await queryable(em).query(cronStepsSql, [cronJobFunctionName])
  const [clock, ...found] = cronRows.parse(rows)
  return {
    now: new Date(clock.nowMs),
    steps: [clock, ...found].flatMap(({ step }) => {
      if (step === null) return []
      const { savedMs, sinceMs, config, ...rest } = step
      const times = { savedAt: new Date(savedMs), since: new Date(sinceMs) }
      return [{ ...rest, ...times, config: cronJobConfig.safeParse(config).data ?? null }]
    }),
  }
}

/** Why a step's config cannot be followed, or null. The API saves none like that; a later version or a hand may have. */
export const faultOfCronStep = (config: CronJobConfig | null): string | null => {
  if (config === null) return 'the config is not one of a CronJob that this version knows'
  try {
    cronOf(config).nextRun()
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

// The clock is there without steps as well: one row then, with a null for the step. A note that does not fit is of a
// version before the last, which knew no notes.
const cronStepsSql = `
  select (extract(epoch from clock_timestamp()) * 1000)::float8 as "nowMs", step.found as step
  from (select) as clock
  left join (
    select jsonb_build_object(
      'stepId', step.id,
      'name', step.name,
      'workflowId', workflow.id,
      'workflowName', workflow.name,
      'enabled', workflow.enabled,
      'savedMs', extract(epoch from workflow.updated_at) * 1000,
      'sinceMs', extract(epoch from coalesce(noted.since, workflow.updated_at)) * 1000,
      'config', step.config - 'payload'
    ) as found
    from workflow
    join workflow_step step on step.workflow_id = workflow.id and step.version = workflow.version
    left join workflow_schedule noted on noted.step_id = step.id
      and noted.schedule = step.config ->> 'schedule'
      and noted.time_zone = coalesce(step.config ->> 'timeZone', 'UTC')
      and noted.suspended = (not workflow.enabled or step.config @> '{ "suspend": true }')
    where workflow.deleted_at is null and step.function_name = $1
  ) step on true`

const cronRow = z.object({
  nowMs: z.number(),
  step: z
    .object({
      stepId: z.string(),
      name: z.string(),
      workflowId: z.string(),
      workflowName: z.string(),
      enabled: z.boolean(),
      savedMs: z.number(),
      sinceMs: z.number(),
      config: z.unknown(),
    })
    .nullable(),
})

const cronRows = z.tuple([cronRow], cronRow)
