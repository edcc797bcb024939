import { queryable, registerLane } from '@esteira/outbox'
import { cronJobFunction, defineFunction, openOrm, publishFunctions, sqlText } from '@esteira/workflow'
import * as z from 'zod'
import type { CronMode } from '../src/config.ts'
import { type ApiEvent, createApp } from '../src/http/app.ts'

const functions = [
  cronJobFunction,
  defineFunction({ name: 'RdStation.getLeads', config: z.strictObject({ segmentationId: z.int() }), run: () => [] }),
  defineFunction({
    name: 'Database.query',
    config: z.strictObject({
      connection: z.string(),
      sql: sqlText({ params: 'parameters' }),
      parameters: z.union([z.array(z.unknown()), z.record(z.string(), z.unknown())]).optional(),
    }),
    run: () => null,
  }),
]

export type Answer = { status: number; headers: Headers; body: unknown }

/** The statuses of answers that came in any order. */
export const statusesOf = (answers: readonly Answer[]): number[] =>
  answers.map(({ status }) => status).toSorted((a, b) => a - b)

/** The API on a migrated database, with three functions published. `saves` counts how often it told of a save. */
export const openApi = async (
  databaseUrl: string,
  { maxPayloadBytes = 1024 * 1024, cron = 'off' }: { maxPayloadBytes?: number; cron?: CronMode } = {},
) => {
  const orm = openOrm({ databaseUrl, poolSize: 5, applicationName: 'test' })
  await publishFunctions(orm.em.fork(), functions)
  const lane = await registerLane(queryable(orm.em.fork()), 'control-plane')
  const events: ApiEvent[] = []
  const told = { saves: 0 }
  const app = createApp({
    orm,
    lane,
    worker: 'control-plane',
    maxPayloadBytes,
    adminToken: 'secret',
    onSaved: () => {
      told.saves += 1
    },
    cron,
    metrics: () => '',
    observe: (event) => events.push(event),
  })
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    const response = await app.request(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: {
        authorization: 'Bearer secret',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
  }
  const query = async (sql: string, values: unknown[] = []) => (await queryable(orm.em.fork()).query(sql, values)).rows
  return { orm, lane, events, told, send, query, close: () => orm.close() }
}

export type Api = Awaited<ReturnType<typeof openApi>>

/** The steps of the workflow that moves leads: a tick, a job that gets them, one a lead that inserts it. */
export const leadsSteps = [
  {
    name: 'every hour',
    functionName: 'CronJob',
    config: { schedule: '0 * * * *', payload: [{ segmentationId: 1 }] },
    nextStep: 'get leads',
    outputType: 'multiple',
  },
  {
    name: 'get leads',
    functionName: 'RdStation.getLeads',
    config: { segmentationId: '{{ payload.segmentationId }}' },
    nextStep: 'insert',
    outputType: 'multiple',
    retry: { maxAttempts: 3 },
    timeoutMs: 60_000,
  },
  { name: 'insert', functionName: 'Database.query', config: { connection: 'crm', sql: 'select 1' } },
]
