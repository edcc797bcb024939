import { randomUUID } from 'node:crypto'
import type { Log } from '@esteira/service'
import { INVALID_SPAN_CONTEXT, trace } from '@opentelemetry/api'
import type { DatabaseQuery } from '../src/database-query.ts'

/** The config of a step; the connection is `crm` unless given. */
export type QueryConfig = { connection?: string; sql: string; params?: unknown[]; mode?: string; confirm?: string }

type Of = { jobId?: string; revision?: number; outputType?: 'single' | 'multiple' | null; signal?: AbortSignal }

/** Calls the function as the worker does, for a job of its own unless one is given. */
export const callQuery = async (
  { fn }: DatabaseQuery,
  log: Log,
  { connection = 'crm', ...config }: QueryConfig,
  { jobId = randomUUID(), revision = 0, outputType = null, signal = new AbortController().signal }: Of = {},
): Promise<unknown> =>
  await fn.call({
    config: { connection, ...config },
    payload: {},
    step: { id: 'step', name: 'query', outputType, hasNext: false },
    run: { id: 'run', workflowId: 'workflow' },
    job: { id: jobId, revision },
    attempt: 1,
    cursor: null,
    emit: async () => {},
    signal,
    log,
    span: trace.wrapSpanContext(INVALID_SPAN_CONTEXT),
  })

/** A log that keeps its lines. */
export const keepingLog = (lines: Record<string, unknown>[]): Log => {
  const keep = (fields: Record<string, unknown>) => {
    lines.push(fields)
  }
  return { debug: keep, info: keep, warn: keep, error: keep }
}
