import { type Log, reasonOf } from '@esteira/service'
import {
  defineFunction,
  isTransient,
  literalText,
  maxPayloadRange,
  type Outcome,
  snooze,
  sqlText,
  type StepFunction,
} from '@esteira/workflow'
import { context } from '@opentelemetry/api'
import { DatabaseError } from 'pg'
import * as z from 'zod'
import { isAway } from './away.ts'
import type { Connections } from './connections.ts'
import { DatabaseQueryError } from './errors.ts'
import { executeAlone, groupStatements } from './groups/group-statements.ts'
import { collectRows, readRows } from './read/read-rows.ts'
import type { Call, Statement } from './run-statement.ts'

const configSchema = (connections: readonly string[]) =>
  z.strictObject({
    /** Which database: a name that the worker has an `ESTEIRA_CONNECTION_<NAME>` for. */
    connection: literalText(connections),
    /** One statement; data comes in through `$1`, `$2` ... only. */
    sql: sqlText({ params: 'params' }),
    /** The values of `$1`, `$2` ...; an object is JSON, an array what `$n` is: a Postgres array or JSON. */
    params: z.array(z.unknown()).default([]),
    /** `query` reads and is refused if it writes; `execute` may write, once a job. By the statement's first word if left out. */
    mode: z.enum(['query', 'execute']).optional(),
    /**
     * What the job waits for: the commit on disk, the commit in the server's memory, or nothing. With `none` the job goes
     * on at once; a statement that fails then is logged and not tried again.
     */
    confirm: z.enum(['durable', 'applied', 'none']).default('durable'),
  })

/** How long a job waits for a database that is away, in milliseconds. */
const awayMs = 5_000

/** Statements that no job waits for, at a time; beyond that the next job does wait. */
const mostUnconfirmed = 200

/** The function, and what waits for statements that no job waits for. */
export type DatabaseQuery = { fn: StepFunction; idle: () => Promise<void> }

/** `Database.query`: runs SQL from config and payload, and gives its rows. */
export const databaseQuery = (
  connections: Connections,
  /** What a result may have as JSON that is one value: it is not read further than that. */
  { maxPayloadBytes = maxPayloadRange.fallback }: { maxPayloadBytes?: number } = {},
): DatabaseQuery => {
  const unconfirmed = new Set<Promise<void>>()
  const execute = groupStatements(connections)
  const fn = defineFunction({
    name: 'Database.query',
    config: configSchema(connections.names),
    withoutResult: { confirm: 'none' },
    run: async ({ config, job, step, signal, log, emit }) => {
      const { connection, sql, params: values, confirm } = config
      const statement = { connection, sql, rowsWanted: step.outputType !== null }
      const call = { jobId: job.id, revision: job.revision, values, signal, place: context.active() }
      if (confirm === 'none') {
        // Acked at once, so prefetch does not bound them.
        while (unconfirmed.size >= mostUnconfirmed) await Promise.race(unconfirmed)
        const running = executeUnconfirmed(connections, statement, call, log)
        unconfirmed.add(running)
        void running.finally(() => unconfirmed.delete(running))
        return undefined
      }
      try {
        if ((config.mode ?? modeOf(sql)) === 'execute')
          return await execute({ ...statement, durability: confirm }, call)
        const isStream = step.outputType === 'multiple' && step.hasNext
        const batches = readRows(connections, statement, call, { isStream })
        if (!isStream && step.outputType !== null) return await collectRows(batches, maxPayloadBytes)
        // Under outputType null nothing comes out, and nobody keeps what is given.
        for await (const { rows } of batches) await emit(rows)
        return undefined
      } catch (error) {
        return whenAway(error)
      }
    },
  })
  return {
    fn,
    idle: async () => {
      await Promise.all(unconfirmed)
    },
  }
}

/** The line goes to the log of the job, which hides its secrets. */
const executeUnconfirmed = async (
  connections: Connections,
  statement: Statement,
  call: Call,
  log: Log,
): Promise<void> => {
  try {
    await executeAlone(connections, { ...statement, durability: 'applied' }, { ...call, signal: neverAborted })
  } catch (error) {
    log.error({ event: 'statement.failed', jobId: call.jobId, reason: reasonOf(explain(error)) })
  }
}

/** The job is over before the statement is, and its signal with it. */
const neverAborted = new AbortController().signal

/**
 * A guess that cannot do harm: what is taken for reading runs in a transaction that the server keeps read-only. A `with` is,
 * unless it has a word that writes anywhere; comments and brackets before the first word do not count.
 */
export const modeOf = (sql: string): 'query' | 'execute' => {
  const [, word = ''] = /^(?:\s|\(|--.*\n|\/\*[\s\S]*?\*\/)*(\w+)/.exec(sql) ?? []
  if (/^(select|values|table)$/i.test(word)) return 'query'
  return /^with$/i.test(word) && !/\b(insert|update|delete|merge)\b/i.test(sql) ? 'query' : 'execute'
}

/** A database that is away burns no attempt: the job waits for it, however long that takes. */
const whenAway = (error: unknown): Outcome => {
  if (!isAway(error)) throw explain(error)
  return snooze(awayMs, `the database is away: ${reasonOf(error)}`)
}

/** What Postgres refused, without the values that it quotes. What may go another time is left to be tried again. */
const explain = (error: unknown): unknown => {
  if (!(error instanceof DatabaseError) || error.code === undefined || isTransient(error)) return error
  if (error.code === '25006') return refused(`${error.message}: set config.mode to "execute"`, error)
  const words = error.code.startsWith('22') ? withoutValues(error.message) : inOurWords(error.message)
  const at = error.position === undefined ? '' : `, at character ${error.position}`
  return refused(`${words}${at} (SQLSTATE ${error.code})`, error)
}

const refused = (reason: string, cause: DatabaseError) =>
  new DatabaseQueryError('statement_refused', `${placeOf(cause)}: ${reason}`, { cause })

/** Which part of the config the server has something against. */
const placeOf = ({ code = '', where = '' }: DatabaseError): string => {
  if (loginRefused.test(code)) return 'config.connection'
  const [, number] = /portal parameter \$(\d+)/.exec(where) ?? []
  return number === undefined ? 'config.sql' : `config.params[${Number(number) - 1}]`
}

/** The user or the database of the address is not known: no statement was looked at. */
const loginRefused = /^(28|3D)/

/** A server that speaks English counts values in terms of its protocol; what it says in another language stays. */
const inOurWords = (message: string): string =>
  message.replace(
    /^bind message supplies (\d+) parameters, but prepared statement "\w*" requires (\d+)$/,
    'expected as many config.params as the highest $n, $2, but $1 came',
  )

/** Errors of the class "data" end in the value after a colon, or have it in the middle when it is out of range. */
const withoutValues = (message: string): string =>
  message.replace(/(value )?".*" is out of range/s, 'a value is out of range').replace(/:.*$/s, '')
