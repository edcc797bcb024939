import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { cronOf, overlaps, strictObject } from '@esteira/workflow'
import { cronModes } from '../config.ts'
import type { ApiContext } from '../http/api-context.ts'
import { answerOf } from '../http/describe.ts'
import { isUuid, pageOf, pageQuery, pageRequest, pageSchema } from '../http/pages.ts'
import { pageProblems, problemResponses } from '../http/problems.ts'
import { type CronJobState, troubleKinds } from '../reconciler/cron-job-state.ts'
import { readStates } from '../reconciler/read-states.ts'
import { overdueTick } from './overdue-tick.ts'
import { type CronStep, faultOfCronStep, readCronSteps } from './read-cron-steps.ts'
import { type LastTick, readLastTicks } from './read-last-ticks.ts'

const cronJobDocument = strictObject({
  stepId: z.uuid(),
  name: z.string(),
  workflowId: z.uuid(),
  workflowName: z.string(),
  schedule: z.string().nullable(),
  timeZone: z.string().nullable(),
  enabled: z.boolean().openapi({ description: 'Of the workflow' }),
  suspended: z.boolean().openapi({ description: 'Of the step' }),
  startingDeadlineSeconds: z.int().nullable().openapi({ description: 'How late a missed tick may still begin' }),
  overlap: z.enum(overlaps).nullable().openapi({ description: 'What a tick does while a run is open' }),
  fault: z.string().nullable().openapi({ description: 'Why it cannot tick' }),
  lastTick: strictObject({ runId: z.uuid(), status: z.string(), at: z.iso.datetime() }).nullable(),
  nextTick: z.iso.datetime().nullable(),
  overdueTick: z.iso.datetime().nullable().openapi({
    description: 'The newest tick, if it was due two minutes ago and no run has begun since',
  }),
  runsIn: z.enum(cronModes).openapi({ description: 'Who fires its ticks; of this control plane' }),
  actual: strictObject({
    state: z.enum(['pending', 'applied', ...troubleKinds]).openapi({
      description:
        '`applied`: the cluster has it as it is here; `pending`: that is about to be done; `refused`: the cluster said no; ' +
        '`foreign`: its name is taken by a CronJob that is not ours; `unreachable`: the cluster does not answer, or the anchor ' +
        'of its CronJobs is gone and they with it',
    }),
    reason: z.string().nullable().openapi({ description: 'What the API server says; it is tried again and again' }),
    nextTryAt: z.iso.datetime().nullable(),
    object: z.string().nullable().openapi({ description: 'Of the CronJob in the cluster' }),
    schedule: z.string().nullable().openapi({ description: 'That the cluster follows now, like the next two' }),
    timeZone: z.string().nullable(),
    suspended: z.boolean().nullable(),
  })
    .nullable()
    .openapi({ description: 'What the cluster made of it; null where ticks do not come from a cluster' }),
}).openapi('CronJob')

const listRoute = createRoute({
  method: 'get',
  path: '/v1/cron-jobs',
  tags: ['cron jobs'],
  summary: 'Lists the cron steps with their last and next tick',
  request: { query: strictObject(pageQuery) },
  responses: {
    200: answerOf(pageSchema(cronJobDocument), 'A page of cron steps'),
    ...problemResponses(...pageProblems),
  },
})

/** `/v1/cron-jobs`. */
export const cronJobRoutes = ({ orm, cron }: ApiContext): OpenAPIHono => {
  const app = new OpenAPIHono()
  app.openapi(listRoute, async (c) => {
    const { limit, after } = pageRequest('cron-jobs', c.req.valid('query'), isUuid)
    const em = orm.em.fork()
    const { now, steps } = await readCronSteps(em)
    const rows = steps
      .filter(({ stepId }) => after === undefined || stepId > after)
      .toSorted((a, b) => (a.stepId < b.stepId ? -1 : 1))
      .slice(0, limit + 1)
    const ticks = await readLastTicks(em, rows)
    const ids = rows.map(({ stepId }) => stepId)
    const states = cron === 'kubernetes' ? await readStates(em, ids) : null
    return c.json(
      pageOf(
        'cron-jobs',
        limit,
        rows,
        ({ stepId }) => stepId,
        (step) => ({
          ...documentOf(step, ticks.get(step.stepId), now),
          runsIn: cron,
          actual: states === null ? null : actualOf(step, states.get(step.stepId)),
        }),
      ),
      200,
    )
  })
  return app
}

type CronJobDocument = z.output<typeof cronJobDocument>

const documentOf = (
  step: CronStep,
  last: LastTick | undefined,
  now: Date,
): Omit<CronJobDocument, 'runsIn' | 'actual'> => {
  const { stepId, name, workflowId, workflowName, enabled, config } = step
  const fault = faultOfCronStep(config)
  const suspended = config?.suspend ?? false
  const next = config !== null && fault === null && enabled && !suspended ? cronOf(config).nextRun(now) : null
  return {
    stepId,
    name,
    workflowId,
    workflowName,
    schedule: config?.schedule ?? null,
    timeZone: config?.timeZone ?? null,
    enabled,
    suspended,
    startingDeadlineSeconds: config?.startingDeadlineSeconds ?? null,
    overlap: config?.overlap ?? null,
    fault,
    lastTick: last === undefined ? null : { runId: last.runId, status: last.status, at: last.at.toISOString() },
    nextTick: next?.toISOString() ?? null,
    overdueTick: overdueTick(step, last, now)?.toISOString() ?? null,
  }
}

const unreadable = 'its config cannot be followed, so its CronJob stays as it is'

const actualOf = (
  { enabled, config, savedAt }: CronStep,
  state: CronJobState | undefined,
): CronJobDocument['actual'] => {
  const { applied = null, trouble = null } = state ?? {}
  const isAsSaved =
    applied !== null &&
    config !== null &&
    // Rows of a version before have none.
    (applied.fitsSave === null || applied.fitsSave.getTime() === savedAt.getTime()) &&
    applied.schedule === config.schedule &&
    applied.timeZone === config.timeZone &&
    applied.suspended === (!enabled || config.suspend)
  return {
    state: trouble?.kind ?? (isAsSaved ? 'applied' : 'pending'),
    reason: trouble?.words ?? (faultOfCronStep(config) === null ? null : unreadable),
    nextTryAt: trouble?.nextTryAt.toISOString() ?? null,
    object: applied?.object ?? null,
    schedule: applied?.schedule ?? null,
    timeZone: applied?.timeZone ?? null,
    suspended: applied?.suspended ?? null,
  }
}
