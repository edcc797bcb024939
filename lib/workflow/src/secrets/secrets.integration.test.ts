import { randomBytes } from 'node:crypto'
import type { Log } from '@esteira/service'
import { expect, test } from 'vitest'
import * as z from 'zod'
import { type Engine, functionOf, type StepDraft } from '../../test/engine.ts'
import { useEngine } from '../../test/use-engine.ts'
import {
  defineFunction,
  fail,
  type FunctionContext,
  page,
  readSecrets,
  retry,
  snooze,
  type StepFunction,
} from '../index.ts'

let engine: Engine

useEngine((opened) => {
  engine = opened
})

/** With what JSON and addresses write in another way. */
const value = `${randomBytes(12).toString('hex')}"/ç`

/** Each form that a trace of the secret could have, as a piece that none of them changes. */
const trace = value.slice(0, 24)

type Config = { token: string; headers: { authorization: string } }

const configSchema = z.object({ token: z.string(), headers: z.object({ authorization: z.string() }) })

const startWith = (name: string, run: (context: FunctionContext<Config, unknown>) => unknown) =>
  serve([defineFunction({ name, config: configSchema, run })], { functionName: name, outputType: 'single' })

/** A worker with a function that gets the secret, what it writes to its log, and a workflow with its step. */
const serve = async (functions: readonly StepFunction[], step: StepDraft, ...behind: StepDraft[]) => {
  const lines: unknown[] = []
  const keep: Log['info'] = (fields) => void lines.push(fields)
  const worker = await engine.startWorker(functions, {
    log: { debug: keep, info: keep, warn: keep, error: keep },
    secrets: readSecrets({ directory: '/nowhere', variables: new Map([['crm_token', value]]) }),
  })
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'single' },
    {
      ...step,
      config: { token: { $secret: 'crm-token' }, headers: { authorization: { $secret: 'crm-token' } } },
      retry: { maxAttempts: 2, delayMs: 1, backoff: 'fixed' },
    },
    ...behind,
  )
  return { lines, worker, workflow }
}

/** Texts of the log and of what the worker said, with the stacks and causes of errors. */
const written = (lines: unknown): string =>
  JSON.stringify(lines, (_, part: unknown) =>
    part instanceof Error
      ? Object.fromEntries(Object.getOwnPropertyNames(part).map((name) => [name, Reflect.get(part, name)]))
      : part,
  )

/** Every column of every table whose text holds the secret. */
const tablesWith = async (text: string): Promise<unknown[]> => {
  const columns = z.array(z.object({ table: z.string(), column: z.string(), type: z.string() })).parse(
    await engine.query(
      `select table_name as "table", column_name as "column", data_type as type from information_schema.columns
       join information_schema.tables using (table_schema, table_name)
       where table_schema = 'public' and table_type = 'BASE TABLE'`,
    ),
  )
  expect(columns.length).toBeGreaterThan(60)
  const found: unknown[] = []
  for (const { table, column, type } of columns) {
    const textOf = type === 'bytea' ? `encode("${column}", 'escape')` : `"${column}"::text`
    const rows = await engine.query(`select 1 from "${table}" where strpos(${textOf}, $1) > 0`, [text])
    if (rows.length > 0) found.push(`${table}.${column}`)
  }
  return found
}

test('the search finds a text that is stored', async () => {
  const { workflow } = await startWith('secrets.none', () => null)
  await engine.over(await engine.begin(workflow, { looked: 'for this text' }))
  expect(await tablesWith('for this text')).toContain('workflow_job.payload')
})

test.each<[string, string, (context: FunctionContext<Config, unknown>) => unknown, object]>([
  [
    'throws it in an error with causes',
    'secrets.throw',
    ({ config }) => {
      const cause = new Error(`401 for ${config.headers.authorization}`)
      throw Object.assign(new Error(`GET /?token=${encodeURIComponent(config.token)}: ${config.token}`, { cause }), {
        code: config.token,
      })
    },
    {
      status: 'failed',
      attempt: 2,
      error: { code: '[secret crm-token]', message: 'GET /?token=[secret crm-token]: [secret crm-token]' },
    },
  ],
  [
    'tries again for it',
    'secrets.retry',
    ({ config }) => retry(`not with ${config.token}`),
    { status: 'failed', error: { message: 'not with [secret crm-token]' } },
  ],
  [
    'fails for it',
    'secrets.fail',
    ({ config }) => fail(config.token),
    { status: 'failed', error: { message: '[secret crm-token]' } },
  ],
  [
    'waits for it',
    'secrets.snooze',
    ({ config }) => snooze(600_000, `until ${config.token} is known`),
    { status: 'queued', error: { code: 'snoozed', message: 'until [secret crm-token] is known' } },
  ],
  [
    'gives it as a part of its result',
    'secrets.give',
    ({ config }) => ({ headers: config.headers }),
    {
      status: 'failed',
      error: { code: 'output_invalid', message: 'the result holds the secret "crm-token", which is never stored' },
    },
  ],
  [
    'gives a result that is no JSON and tells of it',
    'secrets.toJson',
    ({ config }) => ({
      toJSON: () => {
        throw new Error(`not ${config.token}`)
      },
    }),
    {
      status: 'failed',
      attempt: 1,
      error: { code: 'output_rejected', message: 'the result cannot be stored: not [secret crm-token]' },
    },
  ],
  ['keeps it to itself', 'secrets.keep', ({ config }) => ({ length: config.token.length }), { status: 'succeeded' }],
])('a secret of a function that %s is in no table and no line', async (_, name, run, job) => {
  let got = ''
  const { lines, worker, workflow } = await startWith(name, (context) => {
    got = context.config.token
    context.log.info({ event: 'called', with: context.config, err: new Error(`with ${got}`) })
    return run(context)
  })
  const runId = await engine.begin(workflow, null)
  await expect.poll(async () => (await engine.jobs(runId))[1], { timeout: 20_000 }).toMatchObject(job)
  expect(got).toBe(value)
  expect(written(lines)).toContain('[secret crm-token]')
  expect(written([lines, worker.events])).not.toContain(trace)
  expect(await tablesWith(trace)).toEqual([])
})

test('a cursor that holds a secret is refused with its page, and the secret is in no table and no line', async () => {
  const name = 'secrets.cursor'
  const fn = defineFunction({
    name,
    config: configSchema,
    cursor: z.string(),
    run: async function* ({ config: { token } }) {
      yield page([1], '/contacts?page=2')
      yield page([2], `/contacts?page=3&token=${encodeURIComponent(token)}`)
    },
  })
  const next = functionOf(`${name}.next`, () => undefined)
  const { lines, worker, workflow } = await serve(
    [fn, next],
    { functionName: name, outputType: 'multiple' },
    { functionName: next.name, outputType: null },
  )
  const runId = await engine.begin(workflow, null)
  await expect
    .poll(async () => (await engine.jobs(runId))[1], { timeout: 20_000 })
    .toMatchObject({
      status: 'failed',
      attempt: 1,
      error: { code: 'cursor_invalid', message: 'the cursor holds the secret "crm-token", which is never stored' },
    })
  const [, , ...items] = await engine.jobs(runId)
  expect(items.map(({ payload }) => payload)).toEqual([1])
  expect(written([lines, worker.events])).not.toContain(trace)
  expect(await tablesWith(trace)).toEqual([])
})

test('a job whose secret is missing fails with its name, its place in the config and where it was looked for', async () => {
  await engine.startWorker([
    defineFunction({ name: 'secrets.missing', config: z.object({ token: z.string() }), run: () => null }),
  ])
  const workflow = await engine.saveWorkflow(
    { functionName: 'CronJob', outputType: 'single' },
    { functionName: 'secrets.missing', outputType: null, config: { token: { $secret: 'erp' } } },
  )
  const run = await engine.begin(workflow, null)
  expect(await engine.over(run)).toBe('failed')
  expect((await engine.jobs(run))[1]).toMatchObject({
    attempt: 1,
    error: {
      code: 'secret_missing',
      message:
        '/token: secret "erp" is not there: it was looked for in the file /nowhere/erp and in the variable ' +
        'ESTEIRA_SECRET_ERP of the worker',
    },
  })
})
