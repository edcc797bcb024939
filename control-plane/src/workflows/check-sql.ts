import { faultsOfParams, readStatement } from '@esteira/sql'
import { type Fault, pointerOf, type PublishedFunction, sqlMark } from '@esteira/workflow'
import type { ConfigCheck } from './check-config.ts'

/**
 * The check of the statements in a function's configs, which are the fields that its schema marks so: that Postgres would
 * read them, and that their parameters have their values. `loadSql` must have been awaited.
 */
export const sqlCheckOf = ({ configSchema }: Pick<PublishedFunction, 'configSchema'>): ConfigCheck => {
  const { properties } = configSchema
  const marked = Object.entries(isRecord(properties) ? properties : {}).flatMap(([field, schema]) => {
    const mark = isRecord(schema) ? schema[sqlMark] : undefined
    return isRecord(mark) ? [{ field, params: String(mark.params) }] : []
  })
  return (config) => marked.flatMap(({ field, params }) => faultsOf(config, field, params))
}

const faultsOf = (config: Record<string, unknown>, field: string, params: string): Fault[] => {
  const sql = config[field]
  // A text that holds an expression is refused by its schema, and so is what is no text.
  if (typeof sql !== 'string' || sql === '' || sql.includes('{{')) return []
  const outcome = readStatement(sql)
  if (outcome.kind === 'fault') return [{ pointer: pointerOf([field]), message: outcome.message }]
  const values = config[params] ?? []
  // How many values an expression gives is known only when the job runs.
  if (!Array.isArray(values) && !isRecord(values)) return []
  return faultsOfParams(outcome.statement, values).map(({ name, message }) => ({
    pointer: pointerOf(name === null ? [params] : [params, name]),
    message,
  }))
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
