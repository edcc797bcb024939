import { randomUUID } from 'node:crypto'
import { queryable } from '@esteira/outbox'
import { expect, test } from 'vitest'
import type { Engine } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { cancelRun } from '../run/cancel-run.ts'
import { findJobs } from './find-jobs.ts'
import type { JobOnBelt } from './held-job.ts'
import { lockJob } from './lock-job.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

const beginJob = async (): Promise<{ run: string; job: JobOnBelt }> => {
  const run = await engine.begin(await engine.saveWorkflow({ functionName: 'nobody', outputType: null }), null)
  const [{ id } = { id: '' }] = await engine.jobs(run)
  const found = (await findJobs(engine.em(), [id])).get(id)
  if (found === undefined) throw new Error('there is no job')
  return { run, job: { ...found, functionName: 'nobody' } }
}

test('a job is locked by who knows its generation and its claim, and only while it is on the belt', async () => {
  const { run, job } = await beginJob()
  const isLocked = (by: JobOnBelt) =>
    engine.em().transactional(async (em) => (await lockJob(queryable(em), by, 10_000)) !== null)

  expect(await isLocked(job)).toBe(true)
  expect(await isLocked({ ...job, seq: job.seq + 1 })).toBe(false)
  expect(await isLocked({ ...job, claim: randomUUID() })).toBe(false)
  expect(await cancelRun(engine.em(), run)).toBe('cancelled')
  expect(await isLocked(job)).toBe(false)
})

test('how long a job is waited for limits nothing that its function waits for', async () => {
  const { job } = await beginJob()
  const limits = await engine.em().transactional(async (em) => {
    await lockJob(queryable(em), job, 10_000)
    return em.execute(
      `select current_setting('lock_timeout') as locks, current_setting('statement_timeout') as statements`,
    )
  })
  expect(limits).toEqual([{ locks: '0', statements: '10s' }])
})
