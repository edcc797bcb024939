import type { Engine } from '@esteira/test/engine'
import { runOn } from '@esteira/test/support'
import * as z from 'zod'

/** A case of the documents: its step, and what is to be seen of one job of it. */
type Case = {
  sql: string
  confirm?: 'applied' | 'none'
  outputType?: 'single' | 'multiple' | null
  /** How many rows it writes, and how many entries in the ledger say so. */
  rows: number
  entries: 0 | 1
  /** Its own output where it ends the workflow, else what the jobs of the next step get. */
  output?: unknown
  next?: unknown[]
}

const insert = 'insert into lead values ($1, 1)'
const two = 'insert into lead select $1, n from generate_series(1, 2) n returning n, n / 10.0::float8 + 0.2 as x'
const select = 'select n from customer where $1::text is not null order by n'
const twoRows = [
  { n: 1, x: 0.1 + 0.2 },
  { n: 2, x: 0.2 + 0.2 },
]
const threeRows = [{ n: 1 }, { n: 2 }, { n: 3 }]

/** By the name that the payload of its run has. */
export const cases: ReadonlyMap<string, Case> = new Map<string, Case>([
  ['insert and end', { sql: insert, rows: 1, entries: 1, output: null }],
  ['insert and pass on', { sql: insert, rows: 1, entries: 1, next: [{ name: 'insert and pass on' }] }],
  ['returning and end', { sql: two, rows: 2, entries: 1, output: twoRows }],
  ['returning row by row', { sql: two, outputType: 'multiple', rows: 2, entries: 1, next: twoRows }],
  ['select row by row', { sql: select, outputType: 'multiple', rows: 0, entries: 0, next: threeRows }],
  ['select all at once', { sql: select, rows: 0, entries: 0, next: [threeRows] }],
  ['applied', { sql: insert, confirm: 'applied', rows: 1, entries: 1, next: [{ name: 'applied' }] }],
  ['none', { sql: insert, confirm: 'none', outputType: null, rows: 1, entries: 1, next: [{ name: 'none' }] }],
])

/** The tables of the cases. None has a key: what is written twice is there twice. */
export const casesSql = `
  create table lead (name text, n int); create table seen (name text, payload jsonb);
  create table customer (n int); insert into customer select generate_series(1, 3)`

/** Begins a run of each case, and gives it by the case's name. */
export const beginCases = async (engine: Engine): Promise<Map<string, string>> => {
  const runs = new Map<string, string>()
  for (const [name, { sql, confirm = 'durable', outputType = 'single', next }] of cases) {
    const config = { connection: 'crm', sql, params: ['{{ payload.name }}'], confirm }
    const step = { functionName: 'Database.query', outputType, config }
    const sink = {
      connection: 'crm',
      sql: 'insert into seen values ($1, $2)',
      params: [name, '{{ payload }}'],
    }
    const after = { functionName: 'Database.query', outputType: null, config: sink }
    const steps: Parameters<Engine['saveWorkflow']> = next === undefined ? [step] : [step, after]
    runs.set(name, await engine.begin(await engine.saveWorkflow(...steps), { name }))
  }
  return runs
}

/** What is there of each run: its first job's output, what that has written, and what the next jobs have got. */
export const lookAtCases = async (engine: Engine, targetUrl: string, runs: ReadonlyMap<string, string>) => {
  const seen: Record<string, unknown> = {}
  for (const [name, run] of runs) {
    const [first, ...others] = await engine.jobs(run)
    const rowsOf = (text: string, value: unknown) => runOn(targetUrl, { text, values: [value] })
    const passedOn = await rowsOf(`select payload from seen where name = $1 order by payload ->> 'n'`, name)
    seen[name] = {
      status: await engine.statusOf(run),
      jobs: 1 + others.length,
      output: first?.output,
      rows: (await rowsOf('select from lead where name = $1', name)).length,
      entries: (await rowsOf('select from esteira_applied where job_id = $1', first?.id)).length,
      next: payloads.parse(passedOn).map(({ payload }) => payload),
    }
  }
  return seen
}

const payloads = z.array(z.object({ payload: z.unknown() }))

/** What is to be there in the end: each effect once, but for the cases that are lost. */
export const inTheEnd = (lost: readonly string[]) =>
  Object.fromEntries(
    [...cases].map(([name, { rows, entries, output = null, next = [] }]) => {
      const kept = lost.includes(name) ? { rows: 0, entries: 0 } : { rows, entries }
      return [name, { status: 'succeeded', jobs: 1 + next.length, output, next, ...kept }]
    }),
  )
