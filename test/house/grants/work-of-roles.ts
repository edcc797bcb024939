import { randomUUID } from 'node:crypto'
import { migrate } from '@esteira/migrations/migrate'
import { runOn, waitFor } from '@esteira/test/support'
import { Pool } from 'pg'
import { z } from 'zod'
import { readDatabaseId } from '../../../control-plane/src/reconciler/read-database-id.ts'
import { dropStates, writeStates } from '../../../control-plane/src/reconciler/write-states.ts'
import { type Api, leadsSteps, openApi } from '../../../control-plane/test/open-api.ts'
import { createRateLimit } from '../../../lib/http/src/index.ts'
import { openLane } from '../../../lib/outbox/test/lane-under-test.ts'
import { queryable, registerLane } from '../../../lib/outbox/src/index.ts'
import { openControlSession } from '../../../lib/outbox/src/relay/own/control-session.ts'
import { tendRegister } from '../../../lib/outbox/src/relay/own/tend-register.ts'
import {
  carryOnCancels,
  cronJobFunction,
  dropHiddenPages,
  dropItemKeys,
  openOrm,
  openRun,
  probeQueues,
  publishFunctions,
  releaseWaitingJobs,
  settleWaitingRuns,
} from '../../../lib/workflow/src/index.ts'
import { expectMigrated } from '../../../lib/workflow/src/database/expect-migrated.ts'
import { claimJobs } from '../../../lib/workflow/src/job/claim-jobs.ts'
import { findJobs } from '../../../lib/workflow/src/job/find-jobs.ts'
import type { Ending, FinishedJob, HeldJob } from '../../../lib/workflow/src/job/held-job.ts'
import type { NextStep } from '../../../lib/workflow/src/payload/place-result.ts'
import { acceptPage } from '../../../lib/workflow/src/job/pages/accept-page.ts'
import { hidePage, sealPages } from '../../../lib/workflow/src/job/pages/hide-page.ts'
import { writePage } from '../../../lib/workflow/src/job/pages/write-page.ts'
import { sendLater } from '../../../lib/workflow/src/job/send-later.ts'
import { lockedAmong } from '../../../lib/workflow/src/job/unit/locked-among.ts'
import { writeUnit } from '../../../lib/workflow/src/job/unit/write-unit.ts'
import { noteSeen } from '../../../lib/workflow/src/probe/note-seen.ts'
import { loadSteps } from '../../../lib/workflow/src/run/load-steps.ts'
import { lockedRuns } from '../../../lib/workflow/src/run/settle/locked-runs.ts'
import { settle } from '../../../lib/workflow/src/run/settle/settle.ts'
import { fireTick } from '../../../workers/cron-job/src/tick.ts'

/** Where the work is done. `admin` is the API under a user who may do everything. */
export type Place = { databaseUrl: string; rabbitmqUrl: string; admin: Api }

/** What a role does in its database; `url` has the role's name and password. Rejects with what Postgres refuses. */
export type Work = (url: string, place: Place) => Promise<void>

/** A tick that begins a run, and one whose payload turns out not to fit. */
const cronJob: Work = async (url, { admin }) => {
  const { workflowId, stepId } = await saveLeads(admin, { overlap: 'skip' })
  await withOrm(url, async (fork) => {
    await expectMigrated(fork())
    const lane = await registerLane(queryable(fork()), randomUUID())
    const at = { lane, worker: 'cron-job' }
    await fireTick(fork(), { stepId, key: randomUUID(), maxPayloadBytes: 1024, ...at })
    const start = { workflow: { id: workflowId, version: 1 }, stepId, trigger: 'cron', ...at } as const
    // One with more items than its window, as a large payload would be, and one whose payload does not fit.
    await openRun(fork(), { ...start, idempotencyKey: randomUUID(), payload: [1, 2], window: 1 })
    await openRun(fork(), { ...start, idempotencyKey: randomUUID(), payload: 'no list' })
  })
}

/**
 * A worker's start, a unit of work with a job of each ending, jobs whose items come in hidden pages and with keys, and
 * a turn to call an API that counts.
 */
const worker: Work = async (url, { admin }) => {
  const { workflowId } = await saveLeads(admin)
  const payload = Array.from({ length: endings.length + 2 }, (_, index) => ({ segmentationId: index + 1 }))
  const { id: runId } = idOf(await ask(admin, 'POST', `/v1/workflows/${workflowId}/runs`, { payload }))
  const { items } = idsOf(await ask(admin, 'GET', `/v1/jobs?runId=${runId}&status=queued`))
  const jobIds = items.map(({ id }) => id)
  await withOrm(url, async (fork) => {
    await expectMigrated(fork())
    await publishFunctions(fork(), [cronJobFunction])
    const lane = await registerLane(queryable(fork()), randomUUID())
    const jobs = [...(await findJobs(fork(), jobIds)).values()]
    const steps = await loadSteps(fork(), workflowId, 1)
    const hold = async (index: number): Promise<{ job: HeldJob; next: NextStep }> => {
      const job = jobs[index]
      const step = steps.find(({ id }) => id === job?.stepId)
      if (job === undefined || step?.next === undefined || step.next === null) {
        throw new Error(`there is no job with a next step to end ${index}`)
      }
      const claim = randomUUID()
      await claimJobs(fork(), [{ job, next: claim }], 'worker')
      return { job: { ...job, functionName: step.functionName, claim, step }, next: step.next }
    }
    const { job, next } = await hold(endings.length)
    await fork().transactional((em) => hidePage(em, { job, items: [1], next }, 0))
    await sealPages(fork(), job)
    await fork().transactional((em) => acceptPage(em, { ...job, accepted: job.claim }, {}))
    const keyed = await hold(endings.length + 1)
    const page = { ...keyed, items: [1], keys: ['1'] }
    await fork().transactional((em) => writePage(em, page, 1, { worker: 'worker', lane }))
    const finished: FinishedJob[] = []
    for (const [index, endingOf] of endings.entries()) {
      const held = await hold(index)
      finished.push({ job: held.job, ending: endingOf(held.next), elapsedMs: 1 })
    }
    const by = { worker: 'worker', lane, window: 1 }
    const { won } = await fork().transactional((em) => writeUnit(em, { ends: finished }, by))
    if (won.size !== endings.length) throw new Error(`${won.size} jobs were written, not ${endings.length}`)
    await settle(fork(), [runId], { lane, window: 3 })
    await lockedAmong(fork(), [{ id: randomUUID(), runId }])
    await lockedRuns(fork(), [runId])
    await fork().transactional((em) => sendLater(em, [{ job, putOffs: 0, deliveries: 0 }], lane))
    await noteSeen(fork(), randomUUID())
  })
  await takeTurns(url)
}

const takeTurns = async (connectionString: string): Promise<void> => {
  const db = new Pool({ connectionString, max: 1 })
  try {
    const limit = createRateLimit({ db, name: randomUUID(), calls: 1, windowMs: 60_000 })
    for (const _ of [1, 2]) await limit.take(new AbortController().signal, 0)
    await limit.slowDown(1)
  } finally {
    await db.end()
  }
}

const endings: readonly ((next: NextStep) => Ending)[] = [
  (next) => ({ kind: 'succeeded', placed: { kind: 'items', items: [1, 2], next } }),
  () => ({ kind: 'failed', error: { code: 'attempt_failed', message: 'no' } }),
  () => ({ kind: 'requeued', attempt: 1, delayMs: 60_000, error: null }),
]

/** Tends the register; carries rows of its lane, one for later and one that is parked too, and of an orphan; sleeps. */
const relay: Work = async (url, { databaseUrl, rabbitmqUrl }) => {
  await tend(url)
  const lanes = await Promise.all([1, 2].map(() => openLane(randomUUID(), { databaseUrl, rabbitmqUrl })))
  const [home, orphan] = lanes
  if (home === undefined || orphan === undefined) throw new Error('there are two lanes')
  try {
    await home.declareQueue(home.name)
    const message = { routingKey: home.name, payload: null }
    await home.commit(message, { ...message, delayMs: 1 }, { ...message, exchange: 'amq.direct' })
    await orphan.commit(message)
    const carrier = home.relay({ databaseUrl: url, adopt: true, parkAfter: 1 })
    // One that is refused is stopped before it has its lane.
    void Promise.allSettled([carrier.start()])
    const isDone = async () => {
      const [parked] = await runOn(databaseUrl, `select from outbox_parked where lane = ${home.id}`)
      const left = [await home.rows(), await home.rows('outbox_scheduled'), await orphan.rows()]
      return parked !== undefined && (await home.isAsleep()) && left.every((rows) => rows === 0)
    }
    await waitFor(async () => carrier.saw('relay.failed').length > 0 || (await isDone()), { deadlineMs: 20_000 })
    for (const failed of carrier.saw('relay.failed')) if ('error' in failed) throw failed.error
    await carrier.backlog()
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()))
  }
}

/**
 * A start on a database that is up to date, a save, a change, a run by hand, one whose message is lost, what the API and
 * the sweep read, a failed run, and what became of a CronJob.
 */
const controlPlane: Work = async (url, { admin }) => {
  await migrate(url)
  const api = await openApi(url, { cron: 'kubernetes' })
  try {
    // The lane that the API writes to is there, since the admin's has the same.
    await registerLane(queryable(api.orm.em.fork()), randomUUID())
    const { workflowId, stepId } = await saveLeads(api)
    const path = `/v1/workflows/${workflowId}`
    const start = {
      workflow: { id: workflowId, version: 1 },
      stepId,
      trigger: 'manual',
      worker: 'control-plane',
    } as const
    const more = { idempotencyKey: randomUUID(), payload: [1, 2], lane: api.lane, window: 1 }
    await openRun(api.orm.em.fork(), { ...start, ...more })
    await releaseWaitingJobs(api.orm.em.fork(), { lane: api.lane, window: 3 })
    await ask(api, 'POST', `${path}/steps`, {
      name: 'another',
      functionName: 'CronJob',
      config: { schedule: '@daily' },
    })
    const { id: runId } = idOf(await ask(api, 'POST', `${path}/runs`, { step: stepId }))
    await loseMessages(api, admin)
    const failed = idOf(await ask(api, 'POST', `${path}/runs`, { step: stepId, payload: 'no list' }))
    const [job] = idsOf(await ask(api, 'GET', `/v1/jobs?runId=${failed.id}`)).items
    for (const about of ['attempts', 'explain']) await ask(api, 'GET', `/v1/jobs/${job?.id}/${about}`)
    const lists = ['workflows', 'jobs', 'functions', 'cron-jobs'].map((list) => `/v1/${list}`)
    for (const read of [path, `${path}/runs`, `/v1/runs/${runId}`, ...lists]) await ask(api, 'GET', read)
    const toRetry = idsOf(await ask(api, 'GET', `/v1/jobs?runId=${runId}&status=queued`)).items[0]?.id
    await api.query(`update workflow_job set status = 'failed', finished_at = now() where id = $1`, [toRetry])
    await api.query(`update workflow_run_step set belt = 0, failed = 1 where run_id = $1 and belt = 1`, [runId])
    await ask(api, 'POST', `/v1/jobs/${toRetry}/retry`)
    await ask(api, 'POST', `/v1/runs/${runId}/cancel`)
    await carryOnCancels(api.orm.em.fork())
    await settleWaitingRuns(api.orm.em.fork(), 100)
    await admin.query(`insert into workflow_hidden_page values (gen_random_uuid(), gen_random_uuid(), 0, '{}')`)
    await dropHiddenPages(api.orm.em.fork())
    await admin.query(`insert into workflow_item_key values (gen_random_uuid(), gen_random_uuid())`)
    await dropItemKeys(api.orm.em.fork())
    await readDatabaseId(api.orm.em.fork())
    await writeStates(queryable(api.orm.em.fork()), [{ stepId, applied: null, trouble: null }])
    await dropStates(queryable(api.orm.em.fork()), [stepId])
    await ask(api, 'DELETE', path)
  } finally {
    await api.close()
  }
}

/** Finds that messages are lost: each turn after the first one follows an answer to the probe of the one before. */
const loseMessages = async (api: Api, admin: Api): Promise<void> => {
  await admin.query(`delete from outbox_message where routing_key = 'RdStation.getLeads'`)
  const times = { waitsMs: 0, holdMs: 0, takesMs: 0, againMs: 60_000 }
  for (const _ of ['begin', 'second round', 'send again']) {
    await probeQueues(api.orm.em.fork(), { lane: api.lane, times, observe: () => {} })
    await admin.query(`update workflow_probe set seen_at = now()`)
  }
}

export const workOfRoles: Record<string, Work> = { cron_job: cronJob, worker, relay, control_plane: controlPlane }

const withOrm = async (databaseUrl: string, work: (fork: () => Api['orm']['em']) => Promise<void>): Promise<void> => {
  const orm = openOrm({ databaseUrl, poolSize: 2, applicationName: 'test' })
  try {
    await work(() => orm.em.fork())
  } finally {
    await orm.close()
  }
}

const tend = async (url: string): Promise<void> => {
  const session = await openControlSession(url, 'tending')
  try {
    await tendRegister(session)
  } finally {
    await session.close()
  }
}

/** Sends a request and gives the body of the answer, or throws what kept the API from answering. */
const ask = async (api: Api, method: string, path: string, body?: unknown): Promise<unknown> => {
  const answer = await api.send(method, path, body)
  if (answer.status < 300) return answer.body
  for (const event of api.events) if (event.kind === 'request.failed') throw event.error
  throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`)
}

const saveLeads = async (api: Api, config: object = {}): Promise<{ workflowId: string; stepId: string }> => {
  const [tick, ...others] = leadsSteps
  const drafts = [{ ...tick, config: { ...tick?.config, ...config } }, ...others]
  const saved = await ask(api, 'POST', '/v1/workflows', { name: randomUUID(), steps: drafts })
  const { id: workflowId, steps } = z.object({ id: z.uuid(), steps: z.tuple([idSchema], idSchema) }).parse(saved)
  return { workflowId, stepId: steps[0].id }
}

const idSchema = z.object({ id: z.uuid() })
const idOf = (body: unknown) => idSchema.parse(body)
const idsOf = (body: unknown) => z.object({ items: z.array(idSchema) }).parse(body)
