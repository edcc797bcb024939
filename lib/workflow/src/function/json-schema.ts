import * as z from 'zod'

import { secretMember } from '../secrets/reference.ts'

type JsonSchema = Record<string, unknown>

/**
 * Text with an expression in it: `"{{ payload.email }}"`. The first `{{` is found within a lookahead, which is never gone
 * back into: with each other `{{` tried as well, a text of many that are never closed takes the square of its length.
 */
export const expressionPattern = '^(?=([\\s\\S]*?\\{\\{))\\1[\\s\\S]*?\\}\\}'

/** Marks a config field whose text is taken as it is: an expression in it is refused, never evaluated. */
export const literalMark = 'x-esteira-literal'

/**
 * A text field of a config that takes no expression, such as SQL, which must never contain data. With `names`, a step with
 * another text is refused when it is saved; a worker that has other names by then still runs what it can.
 */
export const literalText = (names: readonly string[] = []) =>
  z
    .string()
    .min(1)
    .refine((text) => !text.includes('{{'), 'takes no {{ expression }}')
    .meta({ [literalMark]: true, pattern: '^(?![\\s\\S]*\\{\\{)', ...(names.length === 0 ? {} : { enum: [...names] }) })

/** Marks a config field that is one SQL statement, with what is asked of it: a `SqlRules`. */
export const sqlMark = 'x-esteira-sql'

/** What is asked of a statement when its step is saved. */
export type SqlRules = {
  /** The field of the config that has its values. */
  params: string
  /**
   * A statement that only reads by its own words is refused where the field has this value, unless the config has the
   * field `unless`, which says what it does.
   */
  mustWrite?: { field: string; value: string; unless: string; because: string } | undefined
}

/**
 * A literal text that is one statement in the SQL of Postgres. When a step is saved, its grammar is checked, and its
 * parameters against the values in the config's field `params`.
 */
export const sqlText = (rules: SqlRules) => literalText().meta({ [sqlMark]: rules })

/** Says in a config schema why a value is refused that it allows otherwise. */
export const refusalMark = 'x-esteira-refused'

/**
 * A rule for the `allOf` in the `meta` of a config: where `field` has one of `values`, a step whose config has one of
 * `refused` as well, which are fields with a value each, is refused when it is saved. An expression is not.
 */
export const refuseBeside = (
  field: string,
  values: readonly unknown[],
  refused: Record<string, unknown>,
  because: string,
): JsonSchema => {
  // An `enum` of nothing is no schema.
  if (values.length === 0) return {}
  return {
    if: { not: { required: [field], properties: { [field]: { enum: [...values] } } } },
    else: {
      properties: mapValues(refused, (value) => ({
        not: { const: value },
        [refusalMark]: `must not be ${JSON.stringify(value)}: ${because}`,
      })),
    },
  }
}

/** Has a config schema say by itself what a value has to be. */
export const expectationMark = 'x-esteira-expected'

/**
 * For the `meta` of a field of a config: what is said of any value that its schema does not take when a step is saved. By
 * itself a union says what each of its members takes, and a pattern is shown as it is.
 */
export const expecting = (words: string): JsonSchema => ({ [expectationMark]: words })

/** The JSON Schema (2020-12) that a payload or an output is described by. */
export const plainJsonSchema = (schema: z.ZodType): JsonSchema => ({
  ...z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }),
})

/**
 * The JSON Schema that a config is checked against when its step is saved. Any value may be an expression instead, and a
 * text a secret, since what they give is known only when the job runs; it is checked again then.
 */
export const configJsonSchema = (schema: z.ZodType): JsonSchema => {
  const { properties, ...rest } = plainJsonSchema(schema)
  return isRecord(properties) ? { ...rest, properties: mapValues(properties, orExpression) } : rest
}

/** The names of the config's fields that are taken as they are. */
export const literalFields = (configSchema: JsonSchema): Set<string> => {
  const { properties } = configSchema
  if (!isRecord(properties)) return new Set()
  return new Set(Object.keys(properties).filter((name) => isLiteral(properties[name])))
}

/** The names of the config's fields that have the values of a statement. */
export const parameterFields = (configSchema: JsonSchema): Set<string> => {
  const { properties } = configSchema
  const marks = Object.values(isRecord(properties) ? properties : {}).map((schema) =>
    isRecord(schema) ? schema[sqlMark] : undefined,
  )
  return new Set(marks.flatMap((mark) => (isRecord(mark) && typeof mark.params === 'string' ? [mark.params] : [])))
}

const orExpression = (schema: unknown): unknown => {
  if (!isRecord(schema) || isLiteral(schema)) return schema
  const expression = { type: 'string', pattern: expressionPattern }
  return { if: takesText(schema) ? { anyOf: [expression, secret] } : expression, else: withinExpression(schema) }
}

/** A reference to a secret; whether it is a right one is not the schema's to say, which would hide what is wrong. */
const secret = { type: 'object', required: [secretMember] }

/** A secret is a text, so a schema that is of another type alone takes none. */
const takesText = ({ type = 'string' }: JsonSchema): boolean => [type].flat().includes('string')

/** The schema with the same leave given to everything inside it. */
const withinExpression = (schema: JsonSchema): JsonSchema =>
  mapValues(schema, (value, keyword) => {
    if (keyword === 'properties' || keyword === 'patternProperties') {
      return isRecord(value) ? mapValues(value, orExpression) : value
    }
    if (keyword === 'items' || keyword === 'additionalProperties') return orExpression(value)
    if (keyword === 'prefixItems') return Array.isArray(value) ? value.map(orExpression) : value
    if (keyword === 'anyOf' || keyword === 'oneOf' || keyword === 'allOf') {
      return Array.isArray(value) ? value.map((part) => (isRecord(part) ? withinExpression(part) : part)) : value
    }
    return value
  })

const isLiteral = (schema: unknown): boolean => isRecord(schema) && schema[literalMark] === true

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const mapValues = (record: JsonSchema, map: (value: unknown, key: string) => unknown): JsonSchema =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]))
