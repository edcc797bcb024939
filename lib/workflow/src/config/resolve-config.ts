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
    ([name, value]) => [name, literals.has(name) ? constant(value) : compileValue(value, pointerOf([name]))] as const,
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

/** `pointer` is where the value stands in the config. */
const compileValue = (value: unknown, pointer: string): Node => {
  if (typeof value === 'string') return hasExpression(value) ? expressionAt(value, pointer) : constant(value)
  if (Array.isArray(value)) {
    const items = value.map((item, index) => compileValue(item, pointer + pointerOf([index])))
    // A list keeps its length: an item that gives nothing is null, so the parameters of a query do not shift.
    return async (scope) => (await Promise.all(items.map((item) => item(scope)))).map((item) => item ?? null)
  }
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).map(
      ([name, part]) => [name, compileValue(part, pointer + pointerOf([name]))] as const,
    )
    return (scope) => evaluateFields(fields, scope)
  }
  return constant(value)
}

const expressionAt = (text: string, pointer: string): Node => {
  const placed = (error: unknown): unknown =>
    error instanceof WorkflowError
      ? new WorkflowError(error.code, `${pointer}: ${error.message}`, { cause: error.cause, final: error.final })
      : error
  try {
    const { evaluate } = parseTemplate(text)
    return (scope) => evaluate(scope).catch((error: unknown) => Promise.reject(placed(error)))
  } catch (error) {
    throw placed(error)
  }
}

const constant =
  (value: unknown): Node =>
  async () =>
    value

const evaluateFields = async (
  fields: readonly (readonly [string, Node])[],
  scope: Scope,
): Promise<Record<string, unknown>> => {
  const values = await Promise.all(fields.map(async ([name, node]) => [name, await node(scope)] as const))
  return Object.fromEntries(values.filter(([, value]) => value !== undefined))
}
