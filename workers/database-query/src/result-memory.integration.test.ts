import { type Engine, useEngine } from '@esteira/test/engine'
import { waitFor } from '@esteira/test/support'
import { expect, test } from 'vitest'
import { startMeasured } from '../test/start-measured.ts'
import { useTarget } from '../test/use-target.ts'

/** What Node takes in a container of 512 MiB. */
const heapMiB = 256

let engine: Engine

useTarget('create table lead (id int)', {})
useEngine((opened) => {
  engine = opened
})

/** Runs a statement whose rows are jobs, and gives how that ended, with the worker's peak. */
const run = async (sql: string, mode?: string) => {
  const worker = await startMeasured(engine, [`--max-old-space-size=${heapMiB}`])
  await engine.broker.declareQueue('Rows.take')
  const workflow = await engine.saveWorkflow(
    {
      functionName: 'Database.query',
      outputType: 'multiple',
      config: { connection: 'crm', sql, ...(mode && { mode }) },
    },
    { functionName: 'Rows.take', outputType: null },
  )
  const begun = await engine.begin(workflow, {})
  const ended = `select status, error ->> 'code' as code from workflow_job
    where run_id = $1 and parent_id is null and status in ('succeeded', 'failed')`
  await waitFor(async () => worker.isGone() || (await engine.query(ended, [begun])).length === 1, {
    describe: () => engine.query(`select status, attempt, error from workflow_job where parent_id is null`),
    deadlineMs: 150_000,
  })
  expect(worker.isGone(), 'it ran out of memory').toBe(false)
  return { ends: await engine.query(ended, [begun]), peakMiB: await worker.end() }
}

test.each([
  ['lists of numbers', `(select array_agg(i) from generate_series(100000, 199999) i)::bigint[]`],
  ['lists of empty objects', `(select jsonb_agg('{}'::jsonb) from generate_series(1, 200000) i)`],
])(
  'rows that are small as text, and take many times as much once they are read, are counted as that: %s',
  async (_, value) => {
    const sql = `insert into lead select generate_series(1, 60) returning ${value} as value`
    const { ends, peakMiB } = await run(sql)
    expect(ends).toEqual([{ status: 'failed', code: 'result_too_large' }])
    expect(peakMiB).toBeLessThan(400)
  },
  200_000,
)

test.each(['query', 'execute'])(
  'a row that is no payload, and would take all memory once it is read, is not read: by mode %s',
  async (mode) => {
    const sql = `select jsonb_agg('{}'::jsonb) as value from generate_series(1, 10000000)`
    const { ends } = await run(sql, mode)
    expect(ends).toEqual([{ status: 'failed', code: 'result_too_large' }])
  },
  200_000,
)
