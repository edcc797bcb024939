import { expecting, literalText, refuseBeside, sqlText } from '@esteira/workflow'
import * as z from 'zod'
import { DatabaseQueryError } from './errors.ts'

/**
 * The config of a step, with the connections that the worker has, and those of them that may read only. What does not go
 * together is refused when a step is saved, and by `planOf` in a worker that was given another connection since.
 */
export const configSchema = (connections: readonly string[], readOnly: readonly string[] = []) =>
  fields(connections).meta({
    allOf: [
      refuseBeside('connection', readOnly, { mode: 'execute', confirm: 'none' }, 'the connection is read-only'),
      refuseBeside('mode', ['query'], { confirm: 'none' }, 'it is for what may write, and config.mode is "query"'),
    ],
  })

const paramsWords = 'must be a list of the values of $1, $2 ..., or an object with those of each :name'

const fields = (connections: readonly string[]) =>
  z.strictObject({
    /** Which database: a name that the worker has an `ESTEIRA_CONNECTION_<NAME>` for. */
    connection: literalText(connections),
    /** One statement; data comes in through `$1`, `$2` ..., or through `:name`, only. */
    sql: sqlText({
      params: 'params',
      mustWrite: {
        field: 'confirm',
        value: 'none',
        unless: 'mode',
        because:
          'it is for what may write, and config.sql only reads: leave config.confirm out, or set config.mode to "execute" ' +
          'if a function in it writes',
      },
    }),
    /**
     * The values of `$1`, `$2` ..., or an object with those of each `:name`. Of a value an object is JSON, an array what its
     * parameter is: a Postgres array or JSON.
     */
    params: z
      .union([z.array(z.unknown()), z.record(z.string(), z.unknown())], paramsWords)
      .meta(expecting(paramsWords))
      .default([]),
    /** `query` reads and is refused if it writes; `execute` may write, once a job. By the statement's words if left out. */
    mode: z.enum(['query', 'execute']).optional(),
    /**
     * What the job waits for: the commit on disk, the commit in the server's memory, or nothing. With `none` the job goes
     * on at once; a statement that fails then is logged and not tried again.
     */
    confirm: z.enum(['durable', 'applied', 'none']).default('durable'),
    /**
     * What goes on under an `outputType`: the rows, the job's own payload, or nothing. Left out, it is the rows of a
     * statement that can give some, else the payload if there is a next step.
     */
    output: z.enum(['rows', 'payload', 'none']).optional(),
    /** A statement that gives more rows than this fails, and then has written nothing. */
    maxRows: z.int().min(1).optional(),
    /** Whether the ledger keeps a statement that may write from running again when its job comes again. */
    once: z.boolean().default(true),
  })

type Config = z.output<ReturnType<typeof configSchema>>

/** What of a job decides how its statement is run. */
type Of = {
  step: { outputType: 'single' | 'multiple' | null; hasNext: boolean }
  payload: unknown
  /** Whether the connection may read only. */
  isReadOnly: boolean
  /** Whether the statement writes by its own words; null where the grammar could not read it. */
  writes: boolean | null
}

/**
 * What a statement's rows are needed for: `wanted` ones are to be there, or the step is wrong; others may be, or need not
 * even be kept.
 */
export type Rows = 'wanted' | 'if any' | 'unwanted'

/** How a statement is run, and what goes on where it gives no rows that do. */
export type Plan = { mode: 'query' | 'execute'; rows: Rows; instead: unknown }

/**
 * What a config comes to, for a job.
 *
 * @throws DatabaseQueryError `config_invalid`, before anything is run.
 */
export const planOf = (config: Config, of: Of): Plan => ({ mode: modeFor(config, of), ...outputFor(config, of) })

const modeFor = ({ connection, sql, mode, confirm }: Config, { isReadOnly, writes }: Of): Plan['mode'] => {
  if (!isReadOnly) {
    const found = mode ?? (writes === null ? modeOf(sql) : writes ? 'execute' : 'query')
    // Nobody would hear what it reads.
    if (found === 'query' && confirm === 'none') {
      const reads =
        mode === 'query' ? 'config.mode is "query"' : 'config.sql reads: set config.mode to "execute" if it writes'
      throw invalid(`config.confirm "none" is for what may write, and ${reads}`)
    }
    return found
  }
  if (mode === 'execute' || confirm === 'none') {
    const member = mode === 'execute' ? 'mode "execute"' : 'confirm "none"'
    throw invalid(`config.${member} is for what may write, and the connection "${connection}" is read-only`)
  }
  return 'query'
}

const outputFor = ({ output }: Config, { step, payload }: Of): Omit<Plan, 'mode'> => {
  const { outputType, hasNext } = step
  if (outputType === null) {
    if (output === 'rows') throw invalid('config.output "rows" goes on under outputType "single" or "multiple" only')
    return { rows: 'unwanted', instead: undefined }
  }
  const fits = outputType === 'single' || Array.isArray(payload)
  switch (output) {
    case 'rows':
      return { rows: 'wanted', instead: null }
    case 'payload':
      if (!fits) throw invalid('config.output "payload" under outputType "multiple" takes a payload that is an array')
      return { rows: 'unwanted', instead: payload }
    default:
      if (!hasNext) return { rows: 'if any', instead: outputType === 'multiple' ? [] : null }
      return fits ? { rows: 'if any', instead: payload } : { rows: 'wanted', instead: null }
  }
}

/**
 * For what the grammar cannot read, a guess that cannot do harm: what is taken for reading runs in a transaction that
 * the server keeps read-only. A `with` is, unless it has a word that writes anywhere; comments and brackets before the
 * first word do not count.
 */
export const modeOf = (sql: string): Plan['mode'] => {
  const [, word = ''] = /^(?:\s|\(|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*(\w+)/.exec(sql) ?? []
  if (/^(select|values|table)$/i.test(word)) return 'query'
  return /^with$/i.test(word) && !/\b(insert|update|delete|merge)\b/i.test(sql) ? 'query' : 'execute'
}

const invalid = (message: string): DatabaseQueryError => new DatabaseQueryError('config_invalid', message)
