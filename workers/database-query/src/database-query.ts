import { reasonOf } from '@esteira/service'
import { defineFunction, maxPayloadRange, maxTimeoutMs, snooze, type StepFunction } from '@esteira/workflow'
import { context } from '@opentelemetry/api'
import { isAway } from './away.ts'
import { configSchema, type Plan, planOf } from './config.ts'
import type { Connections } from './connections.ts'
import { DatabaseQueryError } from './errors.ts'
import { explain } from './explain.ts'
import { executeInTurn } from './groups/execute-in-turn.ts'
import { entryKey } from './ledger/claim.ts'
import { collectRows, readRows } from './read/read-rows.ts'
import type { ResultLimit } from './result-limit.ts'
import type { Call } from './run-statement.ts'
import { sentOf, valuesOf } from './sent.ts'
import { runUnconfirmed } from './unconfirmed.ts'

/** How long a job waits for a database that is away, in milliseconds. */
const awayMs = 5_000

/** The function, and what waits for statements that no job waits for. */
export type DatabaseQuery = { fn: StepFunction; idle: () => Promise<void> }

export type DatabaseQueryOptions = {
  /** What a result may have as JSON that is one value: it is not read further than that. */
  maxPayloadBytes?: number
  /** Told of each statement that failed and that no job waits for. */
  onFailed?: (connection: string) => void
}

/** `Database.query`: runs SQL from config and payload, and gives its rows. */
export const databaseQuery = (
  connections: Connections,
  { maxPayloadBytes = maxPayloadRange.fallback, onFailed = () => {} }: DatabaseQueryOptions = {},
): DatabaseQuery => {
  const unconfirmed = runUnconfirmed(connections)
  const execute = executeInTurn(connections)
  const fn = defineFunction({
    name: 'Database.query',
    config: configSchema(connections.names, connections.names.filter(connections.isReadOnly)),
    withoutResult: { confirm: 'none', output: 'none' },
    run: async ({ config, payload, job, step, timeoutMs, signal, log, emit, checkResult }) => {
      const { connection, confirm, once, maxRows = null } = config
      const isReadOnly = connections.isReadOnly(connection)
      const sent = await sentOf(config.sql)
      const plan = planOf(config, { step, payload, isReadOnly, writes: sent.writes })
      const { text: sql, mayShare, mayMeet } = sent
      const statement = { connection, sql, rows: plan.rows, maxRows, mayShare, mayMeet }
      const values = valuesOf(sent, config.params)
      const { id: jobId, revision } = job
      const key = entryKey({ jobId, revision })
      const call: Call = { jobId, revision, key, values, signal, place: context.active(), checkResult }
      if (confirm === 'none') {
        const unawaited = { ...statement, durability: 'applied', once, limit: null } as const
        await unconfirmed.begin(unawaited, call, timeoutMs, (error) => {
          onFailed(connection)
          // The log is the job's, which hides its secrets.
          const reason = reasonOf(explain(error, { ...sent, isReadOnly: false }))
          log.error({ event: 'statement.failed', jobId: job.id, reason })
        })
        return undefined
      }
      const limit = limitOf(plan, step, maxPayloadBytes)
      try {
        const isStream = limit?.of === 'row'
        if (plan.mode === 'execute') {
          const { rows, letGo } = await execute({ ...statement, durability: confirm, once, limit }, call, timeoutMs)
          try {
            if (rows === null || !isStream) return passedOn(plan, rows)
            // One by one, so that no more than they are in memory beside them.
            for (const row of rows) await emit([row])
            return rows.length === 0 ? [] : undefined
          } finally {
            letGo()
          }
        }
        // Its time stands while its rows wait to be written, in all for no longer than any attempt may take.
        const mostMs = isStream ? maxTimeoutMs : timeoutMs
        const batches = readRows(connections, statement, call, { limit, mostMs })
        if (!isStream) return passedOn(plan, await collectRows(batches, limit?.mostBytes ?? null))
        for await (const { rows, columns } of batches) {
          if (columns.length === 0) return plan.instead
          await emit(rows)
        }
        return undefined
      } catch (error) {
        const reason = reasonToWait(error, once)
        if (reason !== null) return snooze(awayMs, reason)
        throw explain(error, { ...sent, isReadOnly })
      }
    },
  })
  return { fn, idle: unconfirmed.idle }
}

/** What a job waits for, so that it burns no attempt; null if that would not help. */
const reasonToWait = (error: unknown, once: boolean): string | null => {
  if (isAway(error)) return `the database is away${orBusy(error)}: ${reasonOf(error)}`
  if (!(error instanceof DatabaseQueryError)) return null
  switch (error.code) {
    case 'read_only_now':
      return `the database takes no writes: ${error.message}`
    case 'ledger_late':
    case 'memory_taken':
      return error.message
    case 'outcome_unknown':
      return `${error.message}; ${once ? 'the ledger tells when the job comes again' : 'without the ledger it may run twice'}`
    default:
      return null
  }
}

/** What of the rows becomes a payload or an output, and so has a limit. */
const limitOf = (
  { rows }: Plan,
  { outputType, hasNext }: { outputType: 'single' | 'multiple' | null; hasNext: boolean },
  mostBytes: number,
): ResultLimit | null =>
  rows === 'unwanted' ? null : { of: outputType === 'multiple' && hasNext ? 'row' : 'result', mostBytes }

/** What goes on: the rows that are there, or what does in their place. */
const passedOn = ({ rows, instead }: Plan, given: readonly unknown[] | null): unknown =>
  rows === 'unwanted' ? instead : (given ?? instead)

/** The driver says no more than that no session was to be had. */
const orBusy = (error: unknown): string =>
  reasonOf(error).includes('timeout exceeded') ? ', or all sessions of config.connection are in use' : ''
