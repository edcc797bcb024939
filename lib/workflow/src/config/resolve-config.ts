import { WorkflowError } from '../errors.ts'
import { type Fault, pointerOf } from '../faults/fault.ts'
import { hasExpression, parseTemplate, type Scope } from './expression.ts'

/** A config whose expressions are read once and evaluated for every job. */
export type ConfigTemplate = (scope: Scope) => Promise<Record<string, unknown>>

type Node = (scope: Scope) => Promise<unknown>

/**
 * Reads the expressions of a step's config. Fields in `literals` are passed on as they are.
 *
 * @throws WorkflowError `expression_invalid` at the first fault; `faultsOfExpressions` tells all of them.
 */
export const compileConfig = (config: Record<string, unknown>, literals: ReadonlySet<string>): ConfigTemplate => {
  const fields = Object.entries(config).map(
    ([name, value]) => [name, literals.has(name) ? constant(value) : compileValue(value)] as const,
  )
  return (scope) => evaluateFields(fields, scope)
}

/** What is wrong with a config's expressions, each with a JSON pointer into the config. */
export const faultsOfExpressions = (value: unknown, pointer = ''): Fault[] => {
  if (typeof value === 'string') {
    try {
      if (hasExpression(value)) parseTemplate(value)
      return []
    } catch (error) {
      if (!(error instanceof WorkflowError)) throw error
      return [{ pointer, message: error.message }]
    }
  }
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, part]) => faultsOfExpressions(part, pointer + pointerOf([name])))
}

const compileValue = (value: unknown): Node => {
  if (typeof value === 'string') return hasExpression(value) ? parseTemplate(value).evaluate : constant(value)
  if (Array.isArray(value)) {
    const items = value.map(compileValue)
    // A list keeps its length: an item that gives nothing is null, so the parameters of a query do not shift.
    return async (scope) => {
      const list: unknown[] = []
      for (const item of items) list.push((await item(scope)) ?? null)
      return list
    }
  }
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).map(([name, part]) => [name, compileValue(part)] as const)
    return (scope) => evaluateFields(fields, scope)
  }
  return constant(value)
}

const constant =
  (value: unknown): Node =>
  async () =>
    value

const evaluateFields = async (
  fields: readonly (readonly [string, Node])[],
  scope: Scope,
): Promise<Record<string, unknown>> => {
  const record: Record<string, unknown> = {}
  for (const [name, node] of fields) {
    const value = await node(scope)
    if (value !== undefined) record[name] = value
  }
  return record
}
