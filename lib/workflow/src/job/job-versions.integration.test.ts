import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import { openRun } from '../run/open-run.ts'
import { settle } from '../run/settle/settle.ts'
import { findJobs } from './find-jobs.ts'
import { writeUnit } from './unit/write-unit.ts'

let engine: Engine
let lane: number

useEngine((opened, unread) => {
  engine = opened
  lane = unread
})

const jobs = 400
const window = jobs / 2

const jobRows = z.array(z.object({ id: z.string(), status: z.string(), page: z.number() }))

/** Of the jobs of a run that is carried to its end: how many are on the page on which they began. */
const stayed = async (): Promise<number> => {
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'multiple' },
    { functionName: 'versions', outputType: null },
  )
  const [stepId, workId] = workflow.stepIds
  const payload = Array.from({ length: jobs }, (_, index) => ({ lead: index, text: 'x'.repeat(300) }))
  const start = { workflow, stepId, trigger: 'manual', worker: 'test', lane, window } as const
  const { runId } = await openRun(engine.em(), { ...start, idempotencyKey: randomUUID(), payload })
  const look = async () =>
    jobRows.parse(
      await engine.query(
        `select id, status, (ctid::text::point)[0] as page from workflow_job where run_id = $1 and step_id = $2 order by id`,
        [runId, workId],
      ),
    )
  const before = await look()
  expect(before).toHaveLength(jobs)
  for (const _ of ['first half', 'second half']) {
    const queued = (await look()).filter(({ status }) => status === 'queued').map(({ id }) => id)
    const found = [...(await findJobs(engine.em(), queued)).values()]
    const ending = { kind: 'succeeded' as const, placed: { kind: 'output' as const, output: null } }
    const ends = found.map((job) => ({ job: Object.assign(job, { functionName: 'versions' }), ending, elapsedMs: 1 }))
    await engine.em().transactional((em) => writeUnit(em, { ends }, { worker: 'test', lane, window }))
    await settle(engine.em(), [runId], { lane, window })
  }
  expect(await engine.statusOf(runId)).toBe('succeeded')
  const pages = new Map(before.map(({ id, page }) => [id, page]))
  return (await look()).filter(({ id, page }) => pages.get(id) === page).length
}

test('a job that is released and ends stays on its page, so that no index is written for it', async () => {
  // Versions grow a little, so the last ones of a page may find no room there. While a transaction is open somewhere, of
  // another test, none are cleared away.
  await expect.poll(stayed, { timeout: 25_000, interval: 20 }).toBeGreaterThan(0.75 * jobs)
})
