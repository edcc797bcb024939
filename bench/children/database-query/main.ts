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

const insert = async (id: number): Promise<unknown> =>
  await fn.call({
    config: { connection: 'crm', sql: insertSql, params: valuesOf(id) },
    payload: {},
    step: { id: 'step', name: 'save', outputType: null, hasNext: false },
    run: { id: 'run', workflowId: 'workflow' },
    // As a job's id: those of one time lie beside each other in the ledger's index.
    job: { id: uuidv7(), revision: 0 },
    attempt: 1,
    timeoutMs: 600_000,
    cursor: null,
    emit: async () => {},
    signal: new AbortController().signal,
    log,
    span,
    checkResult: () => {},
  })

/** Inserts rows with the ids from one to below another, each for a job of its own. */
const insertAll = async (from: number, below: number): Promise<void> => {
  let next = from
  const work = async (): Promise<void> => {
    while (next < below) {
      next += 1
      await insert(next - 1)
    }
  }
  await Promise.all(Array.from({ length: 2 * group }, work))
}

// Connected before it begins, as the control is.
await connections.ledger('crm')
await insertAll(-warmUp, 0)
await untilGo()
const done = startJobClock()
await insertAll(0, rows)
done(rows)
await connections.close()
