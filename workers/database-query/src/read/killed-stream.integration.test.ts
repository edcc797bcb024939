import { fileURLToPath } from 'node:url'
import { type Engine, startWorkerProgram, useEngine } from '@esteira/test/engine'
import { emptyDatabase, runOn, type TestDatabase, waitFor } from '@esteira/test/support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { hold } from '../../test/hold.ts'

const program = fileURLToPath(new URL('../main.ts', import.meta.url))

let engine: Engine
let target: TestDatabase

useEngine((opened) => {
  engine = opened
})
beforeAll(async () => {
  target = await emptyDatabase()
})
afterAll(() => target.drop())

const rows = 100_000
const deadlineMs = 120_000

/** The server stays at the middle row while somebody has that lock. */
const sql = `select n, generation from lead
  where case when n = ${rows / 2} then pg_advisory_xact_lock_shared(59) is not null else true end`

/** What is there of the rows as jobs of the next step; of them the hidden ones are nobody's yet. */
const shownOf = async (run: string) =>
  shownRows.parse(
    await engine.query(
      `select count(*)::int as jobs, count(distinct payload ->> 'n')::int as different,
         coalesce(array_agg(distinct (payload ->> 'generation')::int), '{}') as generations
       from workflow_job where run_id = $1 and parent_id is not null and status <> 'hidden'`,
      [run],
    ),
  )[0]

const shownRows = z.tuple([z.object({ jobs: z.int(), different: z.int(), generations: z.array(z.int()) })])

const isThere = async (url: string, text: string, ...values: unknown[]): Promise<boolean> =>
  (await runOn(url, { text, values })).length > 0

test('of a select whose worker is killed among its rows, and another when some of them are shown, each row is a job once', async () => {
  await runOn(target.url, `create table lead as select n, 1 as generation from generate_series(1, ${rows}) n`)
  await engine.broker.declareQueue('Rows.take')
  const workflow = await engine.saveWorkflow(
    { functionName: 'Database.query', outputType: 'multiple', config: { connection: 'crm', sql } },
    { functionName: 'Rows.take', outputType: null },
  )
  const start = () => startWorkerProgram(engine, program, { ESTEIRA_CONNECTION_CRM: target.url })

  const letGo = await hold(target.url, 'select pg_advisory_xact_lock(59)')
  const run = await engine.begin(workflow, null)
  const first = await start()
  const isHeld = `select from pg_stat_activity where datname = current_database() and wait_event = 'advisory'`
  await waitFor(() => isThere(target.url, isHeld), { deadlineMs, describe: first.said })
  const isWriting = `select from workflow_job where run_id = $1 and status = 'hidden' limit 1`
  await waitFor(() => isThere(engine.databaseUrl, isWriting, run), { deadlineMs, describe: first.said })
  await first.kill()
  await letGo()
  expect(await shownOf(run)).toEqual({ jobs: 0, different: 0, generations: [] })

  await runOn(target.url, 'update lead set generation = 2')
  const second = await start()
  await waitFor(async () => (await shownOf(run)).jobs > 0, { deadlineMs, describe: second.said })
  const letShow = await hold(engine.databaseUrl, `select from workflow_run_step where run_id = '${run}' for update`)
  const { jobs } = await shownOf(run)
  expect(jobs, 'it is in the middle').toBeLessThan(rows)
  await second.kill()
  await letShow()
  expect(await shownOf(run)).toMatchObject({ jobs })

  await runOn(target.url, 'update lead set generation = 3')
  const third = await start()
  const isOver = `select from workflow_job where run_id = $1 and parent_id is null and status = 'succeeded'`
  await waitFor(() => isThere(engine.databaseUrl, isOver, run), { deadlineMs, describe: third.said })
  expect(await third.stop()).toBe(0)
  expect(await shownOf(run)).toEqual({ jobs: rows, different: rows, generations: [2] })
}, 300_000)
