import { faultsOfParams, readStatement } from '@esteira/sql'
import { type Fault, pointerOf, type PublishedFunction, sqlMark, type SqlRules } from '@esteira/workflow'
import * as z from 'zod'
import type { ConfigCheck } from './check-config.ts'

/**
 * The check of the statements in a function's configs, which are the fields that its schema marks so: that Postgres would
 * read them, that their parameters have their values, and that they write where they must. `loadSql` must have been
 * awaited.
 */
export const sqlCheckOf = ({ configSchema }: Pick<PublishedFunction, 'configSchema'>): ConfigCheck => {
  const { properties } = configSchema
  const marked = Object.entries(isRecord(properties) ? properties : {}).flatMap(([field, schema]) => {
    const rules = sqlRules.safeParse(isRecord(schema) ? schema[sqlMark] : undefined)
    return rules.success ? [{ field, rules: rules.data }] : []
  })
  return (config) => marked.flatMap(({ field, rules }) => faultsOf(config, field, rules))
}

const sqlRules: z.ZodType<SqlRules> = z.object({
  params: z.string(),
  mustWrite: z.object({ field: z.string(), value: z.string(), unless: z.string(), because: z.string() }).optional(),
})

const faultsOf = (config: Record<string, unknown>, field: string, { params, mustWrite }: SqlRules): Fault[] => {
  const sql = config[field]
  // A text that holds an expression is refused by its schema, and so is what is no text.
  if (typeof sql !== 'string' || sql === '' || sql.includes('{{')) return []
  const outcome = readStatement(sql)
  if (outcome.kind === 'fault') return [{ pointer: pointerOf([field]), message: outcome.message }]
  const { statement } = outcome
  const ofWriting = mustWrite === undefined || statement.writes ? [] : faultsOfReading(config, mustWrite)
  const values = config[params] ?? []
  // How many values an expression gives is known only when the job runs.
  if (!Array.isArray(values) && !isRecord(values)) return ofWriting
  const ofParams = faultsOfParams(statement, values).map(({ name, message }) => ({
    pointer: pointerOf(name === null ? [params] : [params, name]),
    message,
  }))
  return [...ofParams, ...ofWriting]
}

/** Of a statement that only reads. */
const faultsOfReading = (
  config: Record<string, unknown>,
  { field, value, unless, because }: NonNullable<SqlRules['mustWrite']>,
): Fault[] =>
  config[field] === value && config[unless] === undefined
    ? [{ pointer: pointerOf([field]), message: `must not be ${JSON.stringify(value)}: ${because}` }]
    : []

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
