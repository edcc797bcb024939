import { randomUUID } from 'node:crypto'
import type { Log } from '@esteira/service'
import { INVALID_SPAN_CONTEXT, trace } from '@opentelemetry/api'
import type { DatabaseQuery } from '../src/database-query.ts'

/** The config of a step; the connection is `crm` unless given. */
export type QueryConfig = {
  connection?: string
  sql: string
  params?: unknown[] | Record<string, unknown>
  mode?: string
  confirm?: string
  output?: string
  maxRows?: number
  once?: boolean
}

type Of = {
  jobId?: string
  revision?: number
  payload?: unknown
  outputType?: 'single' | 'multiple' | null
  hasNext?: boolean
  timeoutMs?: number
  signal?: AbortSignal
}

type CallContext = Parameters<DatabaseQuery['fn']['call']>[0]

/** What the worker calls the function with, for a job of its own unless one is given. */
export const aContext = (
  log: Log,
  {
    jobId = randomUUID(),
    revision = 0,
    payload = {},
    outputType = 'single',
    hasNext = false,
    timeoutMs = 600_000,
    signal = new AbortController().signal,
  }: Of = {},
): Omit<CallContext, 'config' | 'emit'> => ({
  payload,
  step: { id: 'step', name: 'query', outputType, hasNext },
  run: { id: 'run', workflowId: 'workflow' },
  job: { id: jobId, revision },
  attempt: 1,
  timeoutMs,
  cursor: null,
  signal,
  log,
  span: trace.wrapSpanContext(INVALID_SPAN_CONTEXT),
  checkResult: () => {},
})

/** Calls the function as the worker does. Resolves to what it returns, or to all that it gives before its end. */
export const callQuery = async (
  { fn }: DatabaseQuery,
  log: Log,
  { connection = 'crm', ...config }: QueryConfig,
  of: Of = {},
): Promise<unknown> => {
  const given: unknown[] = []
  let hasGiven = false
  const result = await fn.call({
    // With `none` there is no result.
    ...aContext(log, { ...(config.confirm === 'none' && { outputType: null }), ...of }),
    config: { connection, ...config },
    emit: async (items) => {
      hasGiven = true
      given.push(...items)
    },
  })
  return hasGiven && result === undefined ? given : result
}

/** A log that keeps its lines. */
export const keepingLog = (lines: Record<string, unknown>[]): Log => {
  const keep = (fields: Record<string, unknown>) => {
    lines.push(fields)
  }
  return { debug: keep, info: keep, warn: keep, error: keep }
}
