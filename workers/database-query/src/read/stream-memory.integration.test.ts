import { type Engine, expectConserved, openEngine } from '@esteira/test/engine'
import { waitFor } from '@esteira/test/support'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import * as z from 'zod'
import { startMeasured } from '../../test/start-measured.ts'
import { useTarget } from '../../test/use-target.ts'

/** A heap that has no room for what would be kept: the rows have 100 MB. */
const heapMiB = 64
const rows = 10_000
const rowBytes = 10_000

let engine: Engine

useTarget('create table lead (id int)', {})
beforeAll(async () => {
  engine = await openEngine()
})
afterEach(() => expectConserved(engine))
afterAll(() => engine.close())

const parents = z.tuple([z.object({ id: z.string() })])

test('rows for which a worker has no memory go through its hidden pages, each once', async () => {
  const worker = await startMeasured(engine, [`--max-old-space-size=${heapMiB}`, '--max-semi-space-size=4'])
  await engine.broker.declareQueue('Rows.take')
  const sql = `select n as id, repeat(chr(97 + n % 26), ${rowBytes}) as text from generate_series(1, ${rows}) n`
  const run = await engine.begin(
    await engine.saveWorkflow(
      { functionName: 'Database.query', outputType: 'multiple', config: { connection: 'crm', sql } },
      { functionName: 'Rows.take', outputType: null },
    ),
    {},
  )
  const [{ id }] = parents.parse(await engine.query(`select id from workflow_job where run_id = $1`, [run]))
  await waitFor(async () => (await engine.query(`select from workflow_hidden_page limit 1`)).length > 0, {
    deadlineMs: 40_000,
  })
  const succeeded = `select from workflow_job where id = $1 and status = 'succeeded'`
  await waitFor(async () => (await engine.query(succeeded, [id])).length > 0, {
    describe: () => engine.query(`select status, count(*) from workflow_job where run_id = $1 group by 1`, [run]),
    deadlineMs: 100_000,
  })
  // It has had 167 to 171, of which 64 are the heap.
  expect(await worker.end()).toBeLessThan(250)
  const next = await engine.query(
    `select count(*)::int as jobs, count(distinct payload -> 'id')::int as ids,
       min(length(payload ->> 'text')) as least, bool_or(status = 'hidden') as hidden
     from workflow_job where run_id = $1 and parent_id is not null`,
    [run],
  )
  expect(next).toEqual([{ jobs: rows, ids: rows, least: rowBytes, hidden: false }])
}, 180_000)
