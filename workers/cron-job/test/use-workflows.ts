import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { openOrm, Workflow, WorkflowStep } from '@esteira/workflow'
import type { MikroORM } from '@mikro-orm/postgresql'
import { cloneDatabase, runOn, type TestDatabase, unconservedIn } from '@esteira/test/support'
import { afterAll, beforeAll, expect } from 'vitest'

/** The database of the file, in which its workflows are saved. */
export let database: TestDatabase
let orm: MikroORM

/**
 * Gives a test file a database of its own, of the server that all tests share unless another one is made, in which nothing
 * may be lost, doubled or miscounted in the end.
 */
export const useWorkflows = (makeDatabase: () => Promise<TestDatabase> = cloneDatabase): void => {
  beforeAll(async () => {
    database = await makeDatabase()
    orm = openOrm({ databaseUrl: database.url, poolSize: 2, applicationName: 'test' })
  })
  afterAll(async () => {
    const unconserved = await unconservedIn(database.url)
    await orm.close()
    await database.drop()
    expect(unconserved, 'lost, doubled or miscounted').toEqual([])
  })
}

type Draft = {
  config?: object
  outputType?: 'single' | 'multiple'
  functionName?: string
  enabled?: boolean
  hasNext?: boolean
}

/** Saves a workflow with a cron step that leads to a step of a function nobody serves; resolves to their ids. */
export const saveWorkflow = async (draft: Draft = {}): Promise<{ workflowId: string; stepId: string }> => {
  const { config = { schedule: '* * * * *', payload: { n: 1 } }, functionName = 'CronJob', enabled = true } = draft
  const [workflowId, stepId, nextId] = [randomUUID(), randomUUID(), randomUUID()]
  const row = { id: workflowId, name: workflowId, automationType: 'step', version: 1, enabled } as const
  const common = { version: 1, workflowId, retry: {} }
  await orm.em.fork().transactional(async (em) => {
    em.create(Workflow, row, { persist: true })
    em.create(
      WorkflowStep,
      {
        ...common,
        id: stepId,
        position: 0,
        name: 'tick',
        functionName,
        config: { ...config },
        outputType: draft.outputType ?? 'single',
        nextStepId: draft.hasNext === false ? null : nextId,
      },
      { persist: true },
    )
    em.create(
      WorkflowStep,
      { ...common, id: nextId, position: 1, name: 'next', functionName: 'Test.next', config: {} },
      { persist: true },
    )
  })
  return { workflowId, stepId }
}

/** The statements that save a second version of a workflow, whose cron step has the payload `new`. */
export const secondVersionOf = (workflowId: string): string[] => [
  `insert into workflow_step (id, version, workflow_id, position, name, function_name, config, next_step_id, output_type)
   select id, 2, workflow_id, position, name || ' of version 2', function_name,
          config || '{ "payload": "new" }', next_step_id, output_type
   from workflow_step where workflow_id = '${workflowId}' order by position desc`,
  `update workflow set version = 2 where id = '${workflowId}'`,
]

/** Does work in a transaction of the database, which is there until it is over. */
export const inTransaction = <T>(work: (run: (sql: string) => Promise<unknown>) => Promise<T>): Promise<T> =>
  orm.em.fork().transactional((em) => work((sql) => queryable(em).query(sql, [])))

export const manyItems = 100_000

/** A cron step with a hundred thousand items of 60 bytes: 6 MB, of which no value may have more than one. */
export const saveManyItems = () => {
  const payload = Array.from({ length: manyItems }, (_, n) => ({
    segmentationId: n,
    name: 'a segmentation of some leads',
  }))
  return saveWorkflow({ outputType: 'multiple', config: { schedule: '* * * * *', payload } })
}

/** Every job of the runs of a workflow. */
export const jobsOf = (workflowId: string) =>
  runOn(
    database.url,
    `select step.name, job.status, job.payload, job.error ->> 'code' as error
     from workflow_job job
     join workflow_run run on run.id = job.run_id
     join workflow_step step on step.id = job.step_id and step.version = run.version
     where run.workflow_id = '${workflowId}' order by job.id`,
  )
