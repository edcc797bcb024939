import { openConnections } from '@esteira/database-query/connections'
import { databaseQuery } from '@esteira/database-query/function'
import { createLog } from '@esteira/service'
import { INVALID_SPAN_CONTEXT, trace } from '@opentelemetry/api'
import { v7 as uuidv7 } from 'uuid'
import { insertSql, insertsTaskSchema, valuesOf } from '../inserts.ts'
import { startJobClock, untilGo } from '../job-messages.ts'

/** The function as its worker calls it, for so many jobs at a time. */
const { url, rows, warmUp, group } = insertsTaskSchema.parse(JSON.parse(process.argv[2] ?? ''))
const log = createLog('bench', 'error')
const connections = openConnections(new Map([['crm', url]]), log)
const { fn } = databaseQuery(connections)
const span = trace.wrapSpanContext(INVALID_SPAN_CONTEXT)

const insert = async (id: number, jobId: string): Promise<unknown> =>
  await fn.call({
    config: { connection: 'crm', sql: insertSql, params: valuesOf(id) },
    payload: {},
    step: { id: 'step', name: 'save', outputType: null, hasNext: false },
    run: { id: 'run', workflowId: 'workflow' },
    job: { id: jobId, revision: 0 },
    attempt: 1,
    timeoutMs: 600_000,
    cursor: null,
    emit: async () => {},
    signal: new AbortController().signal,
    log,
    span,
    checkResult: () => {},
  })

/** As jobs' ids: those of one time lie beside each other in the ledger's index. A job comes with its id. */
const makeIds = (count: number): string[] => Array.from({ length: count }, () => uuidv7())

/** Inserts a row for each job, with the ids from one on. */
const insertAll = async (from: number, jobIds: readonly string[]): Promise<void> => {
  const jobs = jobIds.entries()
  const work = async (): Promise<void> => {
    for (const [index, jobId] of jobs) await insert(from + index, jobId)
  }
  await Promise.all(Array.from({ length: 2 * group }, work))
}

// Connected before it begins, as the control is.
await connections.ledger('crm')
await insertAll(-warmUp, makeIds(warmUp))
const jobIds = makeIds(rows)
await untilGo()
const done = startJobClock()
await insertAll(0, jobIds)
done(rows)
await connections.close()
