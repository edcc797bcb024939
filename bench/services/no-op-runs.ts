import { randomUUID } from 'node:crypto'
import { openOrm, openRun, Workflow, WorkflowStep } from '@esteira/workflow'
import { jobPayload, noOpName } from '../children/job-messages.ts'
import type { Place } from './open-place.ts'

/** A first payload that holds those of all jobs of a run. */
const maxPayloadBytes = 1024 ** 3

/** Begins runs of a workflow whose jobs do nothing, in a place's database. */
export const openNoOpRuns = async ({ databaseUrl, lane }: Place) => {
  const orm = openOrm({ databaseUrl, poolSize: 1, applicationName: 'bench' })
  const workflow = { id: randomUUID(), version: 1 }
  const [tickId, workId] = [randomUUID(), randomUUID()]
  const common = { version: 1, workflowId: workflow.id, config: {}, retry: {} }
  await orm.em.fork().transactional(async (em) => {
    em.create(Workflow, { ...workflow, name: workflow.id, automationType: 'step', enabled: true }, { persist: true })
    em.create(
      WorkflowStep,
      {
        ...common,
        id: tickId,
        position: 0,
        name: 'tick',
        functionName: 'CronJob',
        outputType: 'multiple',
        nextStepId: workId,
      },
      { persist: true },
    )
    em.create(
      WorkflowStep,
      { ...common, id: workId, position: 1, name: 'work', functionName: noOpName },
      { persist: true },
    )
  })
  const start = { workflow, trigger: 'manual', maxPayloadBytes, lane: lane.id, worker: 'bench' } as const

  return {
    /** Begins a run of so many jobs; when it resolves all of them wait, with a message each in the outbox. */
    beginMany: async (jobs: number): Promise<void> => {
      const payload = Array.from({ length: jobs }, (_, index) => jobPayload(index))
      await openRun(orm.em.fork(), { ...start, stepId: tickId, idempotencyKey: randomUUID(), payload })
    },

    /** Begins a run of one job, and resolves as soon as that is committed. */
    beginOne: (): Promise<void> =>
      // Its settling, which is none of the job's business, would come after the commit.
      orm.em.fork().transactional(async (em) => {
        await openRun(em, { ...start, stepId: workId, idempotencyKey: randomUUID(), payload: jobPayload(0) })
      }),

    close: () => orm.close(),
  }
}
