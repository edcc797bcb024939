import { randomUUID } from 'node:crypto'
import { queryable, registerLane } from '@esteira/outbox'
import { createRelay } from '@esteira/outbox/relay'
import rascal from 'rascal'
import { v7 as uuidv7 } from 'uuid'
import * as z from 'zod'
import {
  defineFunction,
  type FunctionContext,
  openOrm,
  openRun,
  type RetryPolicy,
  startWorker,
  type StepFunction,
  Workflow,
  type WorkerEvent,
  type WorkerOptions,
  WorkflowStep,
} from '../src/index.ts'

/** A step as a test writes it. It leads to the one that is written after it. */
export type StepDraft = {
  functionName: string
  outputType: 'single' | 'multiple' | null
  config?: Record<string, unknown>
  retry?: Partial<RetryPolicy>
  timeoutMs?: number
}

export type SavedWorkflow = { id: string; version: number; stepIds: [string, ...string[]] }

/** What `@esteira/test/support` gives: services of a test's own, and patience. */
type Support<Broker> = {
  cloneDatabase: () => Promise<{ url: string; drop: () => Promise<void> }>
  createVhost: () => Promise<{ url: string; drop: () => Promise<void> }>
  openBroker: (url: string) => Promise<Broker>
  waitFor: <T>(condition: () => Promise<T | false>, options: { describe: () => unknown }) => Promise<T>
}

/** The name of the lane that every worker writes to. */
export const laneName = 'engine'

const silent = () => {}

/** Says nothing: what a test looks at are rows, messages and events. */
export const silentLog = { debug: silent, info: silent, warn: silent, error: silent }

/** A function that takes any config, with the given body. */
export const functionOf = (name: string, run: (context: FunctionContext<object, unknown>) => unknown): StepFunction =>
  defineFunction({ name, config: z.looseObject({}), run })

/**
 * What is around workers: a database and a broker of their own with a relay between them, workflows and runs as rows,
 * and looks at what became of them. `close` stops every worker that was started and drops the rest.
 */
export const openEngine = async <Broker extends { close: () => Promise<void> }>(support: Support<Broker>) => {
  const [database, vhost] = await Promise.all([support.cloneDatabase(), support.createVhost()])
  const at = { databaseUrl: database.url, rabbitmqUrl: vhost.url }
  const broker = await support.openBroker(vhost.url)
  const orm = openOrm({ databaseUrl: at.databaseUrl, poolSize: 4, applicationName: 'test' })
  const laneId = await registerLane(queryable(orm.em.fork()), laneName)
  const relay = createRelay({ ...at, lane: laneName, pollMs: 500 })
  await relay.start()
  const workers = new Set<{ stop: () => Promise<void> }>()

  const query = async (text: string, values: unknown[] = []): Promise<unknown[]> =>
    (await queryable(orm.em.fork()).query(text, values)).rows

  /** Jobs of a run in the order of steps and items. `step` counts from 0, `dueInMs` is null for a job without delay. */
  const jobs = async (runId: string) => jobRows.parse(await query(jobsSql, [runId]))

  const statusOf = async (runId: string): Promise<string> =>
    runRows.parse(await query(`select status from workflow_run where id = $1`, [runId]))[0].status

  const stopWorkers = async (): Promise<void> => {
    const running = [...workers]
    workers.clear()
    await Promise.all(running.map((worker) => worker.stop()))
  }

  return {
    ...at,
    broker,
    em: () => orm.em.fork(),
    lane: laneId,
    query,
    jobs,
    statusOf,

    saveWorkflow: async (...drafts: readonly [StepDraft, ...StepDraft[]]): Promise<SavedWorkflow> => {
      const workflow = { id: uuidv7(), version: 1 }
      const [first, ...others] = drafts.map(() => uuidv7())
      if (first === undefined) throw new Error('a workflow has a step')
      const stepIds: [string, ...string[]] = [first, ...others]
      await orm.em.fork().transactional(async (em) => {
        em.create(
          Workflow,
          { ...workflow, name: workflow.id, automationType: 'step', enabled: true },
          { persist: true },
        )
        drafts.forEach(({ config = {}, retry = {}, ...draft }, position) => {
          em.create(
            WorkflowStep,
            {
              ...draft,
              id: stepIds[position] ?? '',
              version: workflow.version,
              workflowId: workflow.id,
              position,
              name: `step ${position}`,
              config,
              retry,
              nextStepId: stepIds[position + 1] ?? null,
            },
            { persist: true },
          )
        })
      })
      return { ...workflow, stepIds }
    },

    /** Begins a run at the workflow's first step, and resolves to its id. */
    begin: async (workflow: SavedWorkflow, payload: unknown): Promise<string> => {
      const { runId } = await openRun(orm.em.fork(), {
        workflow,
        stepId: workflow.stepIds[0],
        trigger: 'manual',
        idempotencyKey: randomUUID(),
        payload,
        lane: laneId,
        worker: 'test',
      })
      return runId
    },

    /** Puts bytes that are no JSON into a queue. */
    publishBytes: (queue: string, bytes: Buffer) => publishBytes(at.rabbitmqUrl, queue, bytes),

    /** Waits until a run is over; resolves to its status. */
    over: (runId: string): Promise<string> =>
      support.waitFor(
        async () => {
          const status = await statusOf(runId)
          return status !== 'running' && status
        },
        { describe: () => jobs(runId) },
      ),

    /** Starts a worker, with everything it says. */
    startWorker: async (
      functions: readonly StepFunction[],
      options: Partial<Omit<WorkerOptions, 'functions' | 'lane' | 'observe'>> = {},
    ) => {
      const events: WorkerEvent[] = []
      const worker = await startWorker({
        ...at,
        worker: 'worker',
        prefetch: 100,
        graceMs: 5_000,
        log: silentLog,
        signal: new AbortController().signal,
        ...options,
        lane: laneName,
        functions,
        observe: (event) => events.push(event),
      })
      workers.add(worker)
      return {
        events,
        saw: (kind: WorkerEvent['kind']) => events.filter((event) => event.kind === kind),
        stop: async () => {
          workers.delete(worker)
          await worker.stop()
        },
      }
    },

    /** Steps of any run whose counters differ from the rows that they count. */
    untrueCounters: () => query(untrueCountersSql),

    /** How many messages wait in the outbox, those for later included. */
    outboxRows: async (): Promise<number> =>
      countRows.parse(
        await query(
          `select (select count(*) from outbox_message)::int + (select count(*) from outbox_scheduled)::int as count`,
        ),
      )[0].count,

    stopWorkers,

    close: async () => {
      await stopWorkers()
      await relay.stop({ graceMs: 0 })
      await Promise.all([orm.close(), broker.close()])
      await Promise.all([database.drop(), vhost.drop()])
    },
  }
}

export type Engine<Broker extends { close: () => Promise<void> }> = Awaited<ReturnType<typeof openEngine<Broker>>>

const publishBytes = async (rabbitmqUrl: string, queue: string, bytes: Buffer): Promise<void> => {
  const vhost = new URL(rabbitmqUrl).pathname.slice(1)
  const publisher = await rascal.BrokerAsPromised.create(
    rascal.withTestConfig({
      vhosts: { [vhost]: { connection: { url: rabbitmqUrl }, exchanges: [''] } },
      publications: { bytes: { vhost, exchange: '', routingKey: queue } },
    }),
  )
  const publication = await publisher.publish('bytes', bytes)
  await new Promise((resolve, reject) => publication.once('success', resolve).once('error', reject))
  await publisher.shutdown()
}

const jobRows = z.array(
  z.object({
    id: z.string(),
    step: z.int(),
    parentId: z.string().nullable(),
    itemIndex: z.int().nullable(),
    status: z.string(),
    seq: z.int(),
    attempt: z.int(),
    claim: z.string().nullable(),
    payload: z.unknown(),
    output: z.unknown(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    dueInMs: z.number().nullable(),
    traceparent: z.string(),
    worker: z.string().nullable(),
  }),
)

const jobsSql = `
  select job.id, step.position as step, job.parent_id as "parentId", job.item_index as "itemIndex", job.status, job.seq,
         job.attempt, job.claim, job.payload, job.output, job.error,
         (extract(epoch from job.run_after - now()) * 1000)::float8 as "dueInMs", job.traceparent, job.worker
  from workflow_job job
  join workflow_run run on run.id = job.run_id
  join workflow_step step on step.id = job.step_id and step.version = run.version
  where run.id = $1
  order by step.position, job.item_index, job.id`

const runRows = z.tuple([z.object({ status: z.string() })])
const countRows = z.tuple([z.object({ count: z.int() })])

const untrueCountersSql = `
  select counted.*, actual.*
  from workflow_run_step counted,
    lateral (
      select count(*) filter (where status = 'staged') as staged,
             count(*) filter (where status in ('queued', 'running')) as belt,
             count(*) filter (where status = 'succeeded') as succeeded,
             count(*) filter (where status = 'failed') as failed,
             count(*) filter (where status = 'cancelled') as cancelled
      from workflow_job job where job.run_id = counted.run_id and job.step_id = counted.step_id
    ) actual
  where (counted.staged, counted.belt, counted.succeeded, counted.failed, counted.cancelled)
    is distinct from (actual.staged, actual.belt, actual.succeeded, actual.failed, actual.cancelled)`
