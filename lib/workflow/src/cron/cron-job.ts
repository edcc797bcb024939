import { Cron } from 'croner'
import * as z from 'zod'
import { strictObject } from '../faults/faults-of-issues.ts'
import { plainJsonSchema } from '../function/json-schema.ts'

/** The function whose steps Kubernetes (or the local scheduler) fires. It has no queue: its ticks begin runs. */
export const cronJobFunctionName = 'CronJob'

/**
 * What a start does while another run of the workflow is open: begins beside it, begins none, or begins and has the
 * other ones cancelled.
 */
export const overlaps = ['allow', 'skip', 'cancel'] as const
export type Overlap = (typeof overlaps)[number]

/** How late a missed tick may be fired at most, in seconds. */
export const longestDeadlineSeconds = 86_400

/** The config of a CronJob step. */
export const cronJobConfig = strictObject({
  /** Five fields or a macro such as `@daily`. */
  schedule: z.string().min(1),
  /** An IANA zone such as `America/Sao_Paulo`. */
  timeZone: z.string().min(1).default('UTC'),
  /** The first payload of each run; an array where the step's `outputType` is `multiple`. */
  payload: z.unknown().optional(),
  /** How late a missed tick may still be fired, in seconds. */
  startingDeadlineSeconds: z.int().min(10).max(longestDeadlineSeconds).default(120),
  suspend: z.boolean().default(false),
  /** What a tick does while a run of the workflow is open. */
  overlap: z.enum(overlaps).default('allow'),
})
export type CronJobConfig = z.infer<typeof cronJobConfig>

/** What the control plane publishes for CronJob, as the workers do for their functions. */
export const cronJobFunction = {
  name: cronJobFunctionName,
  // Nothing here is evaluated, the payload least of all: it is what expressions of later steps look at.
  configSchema: plainJsonSchema(cronJobConfig),
  inputSchema: null,
  outputSchema: null,
}

/**
 * The ticks of a config. Five fields only: Kubernetes knows no seconds, and a schedule must mean the same there.
 *
 * @throws Error (croner's) that says which part of the schedule or the zone is wrong.
 */
export const cronOf = (config: Pick<CronJobConfig, 'schedule' | 'timeZone'>): Cron =>
  new Cron(asInKubernetes(config.schedule), { paused: true, timezone: config.timeZone, mode: '5-part' })

/**
 * Where both fields of days say something, a day has to fit one of them; where one is a star it has to fit the other. Croner
 * takes for one a star by itself, Kubernetes also one with the step 1 or in a list (`getRange` and `dayMatches` in
 * https://github.com/robfig/cron/tree/v3.0.1).
 */
const asInKubernetes = (schedule: string): string => {
  const fields = schedule.trim().split(/\s+/)
  const [minute, hour, day, month, weekday] = fields
  // A field beside a star is left as it is: what is wrong in it is for croner to say.
  if (fields.length !== 5 || isStar(day) || isStar(weekday)) return schedule
  return [minute, hour, hasStar(day) ? '*' : day, month, hasStar(weekday) ? '*' : weekday].join(' ')
}

const isStar = (field = ''): boolean => field === '*' || field === '?'

const hasStar = (field = ''): boolean => /(^|,)[*?](\/0*1)?(,|$)/.test(field)
