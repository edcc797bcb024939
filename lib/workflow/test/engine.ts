import { randomUUID } from 'node:crypto'
import { queryable, registerLane } from '@esteira/outbox'
import { createRelay } from '@esteira/outbox/relay'
import { cloneDatabase, createVhost, openBroker, type TestVhost, waitFor } from '@esteira/test/support'
import type { EntityManager } from '@mikro-orm/postgresql'
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
import { openConservation } from './conservation.ts'
import { openLooks } from './looks.ts'
import { publishBytes } from './publish-bytes.ts'
import { findStuck } from './stuck.ts'
import { workerOptions } from './worker-options.ts'

/** A step as a test writes it. It leads to the one that is written after it. */
export type StepDraft = {
  functionName: string
  outputType: 'single' | 'multiple' | null
  config?: Record<string, unknown>
  retry?: Partial<RetryPolicy>
  timeoutMs?: number
}

type StepDrafts = readonly [StepDraft, ...StepDraft[]]

export type SavedWorkflow = { id: string; version: number; stepIds: [string, ...string[]] }

/** The name of the lane that every worker writes to. */
export const laneName = 'engine'

/** A function that takes any config, with the given body. */
export const functionOf = (name: string, run: (context: FunctionContext<object, unknown>) => unknown): StepFunction =>
  defineFunction({ name, config: z.looseObject({}), run })

/** Writes the steps of a version; a step keeps the id that its place had before. */
const writeSteps = (em: EntityManager, { id: workflowId, version, stepIds }: SavedWorkflow, drafts: StepDrafts) =>
  drafts.forEach(({ config = {}, retry = {}, ...draft }, position) => {
    em.create(
      WorkflowStep,
      {
        ...draft,
        id: stepIds[position] ?? '',
        version,
        workflowId,
        position,
        name: `step ${position}`,
        config,
        retry,
        nextStepId: stepIds[position + 1] ?? null,
      },
      { persist: true },
    )
  })

/**
 * What is around workers: a database and a broker of their own with a relay between them, workflows and runs as rows,
 * and looks at what became of them. A broker may be given, to be dropped in the end. `close` stops every worker that
 * was started and drops the rest.
 */
export const openEngine = async (given?: TestVhost) => {
  const [database, vhost] = await Promise.all([cloneDatabase(), given ?? createVhost()])
  const at = { databaseUrl: database.url, rabbitmqUrl: vhost.url }
  const broker = await openBroker(vhost.url)
  const orm = openOrm({ databaseUrl: at.databaseUrl, poolSize: 4, applicationName: 'test' })
  const laneId = await registerLane(queryable(orm.em.fork()), laneName)
  const relay = createRelay({ ...at, lane: laneName, pollMs: 500 })
  await relay.start()
  const workers = new Set<{ stop: () => Promise<void> }>()

  const query = async (text: string, values: unknown[] = []): Promise<unknown[]> =>
    (await queryable(orm.em.fork()).query(text, values)).rows

  const looks = openLooks(query)

  const stopWorkers = async (): Promise<void> => {
    const running = [...workers]
    workers.clear()
    await Promise.all(running.map((worker) => worker.stop()))
  }

  return {
    ...at,
    broker,
    /** The number of the lane that every worker writes to. */
    laneId,
    em: () => orm.em.fork(),
    query,
    ...looks,
    ...openConservation(query),

    /** What will never move by itself, while no worker is at work. */
    stuck: () => findStuck(query, broker),

    saveWorkflow: async (...drafts: StepDrafts): Promise<SavedWorkflow> => {
      const id = uuidv7()
      const [, ...others] = drafts
      const saved: SavedWorkflow = { id, version: 1, stepIds: [uuidv7(), ...others.map(() => uuidv7())] }
      await orm.em.fork().transactional(async (em) => {
        em.create(Workflow, { id, version: 1, name: id, automationType: 'step', enabled: true }, { persist: true })
        writeSteps(em, saved, drafts)
      })
      return saved
    },

    /** Saves a workflow's next version, with other steps. */
    saveVersion: async (before: SavedWorkflow, ...drafts: StepDrafts): Promise<SavedWorkflow> => {
      const [, ...others] = drafts
      const [first, ...rest] = before.stepIds
      const stepIds: SavedWorkflow['stepIds'] = [first, ...others.map((_, place) => rest[place] ?? uuidv7())]
      const saved: SavedWorkflow = { id: before.id, version: before.version + 1, stepIds }
      await orm.em.fork().transactional(async (em) => {
        await em.nativeUpdate(Workflow, { id: saved.id }, { version: saved.version })
        writeSteps(em, saved, drafts)
      })
      return saved
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

    /** Waits until a run is over; resolves to its status. Worker processes that die take their time to come back. */
    over: (runId: string, deadlineMs = 25_000): Promise<string> =>
      waitFor(
        async () => {
          const status = await looks.statusOf(runId)
          return status !== 'running' && status !== 'cancelling' && status
        },
        {
          describe: async () => (await looks.jobs(runId)).filter(({ status }) => status !== 'succeeded'),
          deadlineMs,
        },
      ),

    /** Starts a worker, with everything it says. */
    startWorker: async (
      functions: readonly StepFunction[],
      options: Partial<Omit<WorkerOptions, 'functions' | 'lane' | 'observe'>> = {},
    ) => {
      const events: WorkerEvent[] = []
      const observe = (event: WorkerEvent) => events.push(event)
      const worker = await startWorker(
        workerOptions({ ...at, graceMs: 5_000, ...options, lane: laneName, functions, observe }),
      )
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

    stopWorkers,

    close: async () => {
      await stopWorkers()
      await relay.stop({ graceMs: 0 })
      await Promise.all([orm.close(), broker.close()])
      await Promise.all([database.drop(), vhost.drop()])
    },
  }
}

export type Engine = Awaited<ReturnType<typeof openEngine>>
