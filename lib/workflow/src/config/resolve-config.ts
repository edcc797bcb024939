import { WorkflowError } from '../errors.ts'
import { type Fault, pointerOf } from '../faults/fault.ts'
import { faultOfReference, isReference, nameIn } from '../secrets/reference.ts'
import type { Secrets } from '../secrets/read-secrets.ts'
import { expressionsIn, hasExpression, parseTemplate, type Scope } from './expression.ts'
import { limits } from './jsonata/limits.ts'
import { readingOf } from './jsonata/reading.ts'

/**
 * A config whose expressions are read once and evaluated for every job, where its secrets are filled in too. What waits for
 * an evaluation is withdrawn when the signal is aborted, and fails with its reason.
 */
export type ConfigTemplate = (scope: Scope, secrets: Secrets, signal?: AbortSignal) => Promise<Record<string, unknown>>

/** Gives its value, or a promise of it where that takes its time; it never throws. Most give it at once, for each job. */
type Node = (scope: Scope, secrets: Secrets, signal?: AbortSignal) => unknown

/**
 * Reads the expressions and the references to secrets of a step's config. Fields in `literals` are passed on as they are;
 * those in `parameters` keep all their members, with null for one whose expression gives nothing. No expression sees a
 * secret, and what an expression gives is never taken for a reference.
 *
 * @throws WorkflowError `expression_invalid` or `config_invalid` at the first fault; `faultsOfExpressions` tells all.
 */
export const compileConfig = (
  config: Record<string, unknown>,
  literals: ReadonlySet<string>,
  parameters: ReadonlySet<string> = new Set(),
): ConfigTemplate => {
  const fields = Object.entries(config).map(([name, value]) => {
    if (literals.has(name)) return [name, constant(value)] as const
    return [name, compileValue(value, pointerOf([name]), parameters.has(name) ? null : undefined)] as const
  })
  const evaluate = evaluateFields(fields)
  return async (scope, secrets, signal) => evaluate(scope, secrets, signal)
}

/** What is wrong with a config's expressions and references to secrets, each with a JSON pointer into the config. */
export const faultsOfExpressions = (config: Record<string, unknown>): Fault[] => {
  const fault = faultOfSize(sourcesIn(config, ''))
  return fault === null ? faultsIn(config, '') : [fault]
}

type Source = { pointer: string; source: string }

/** All expressions of a value, and where they stand. */
const sourcesIn = (value: unknown, pointer: string): Source[] => {
  if (typeof value === 'string') return expressionsIn(value).map((source) => ({ pointer, source }))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, part]) => sourcesIn(part, pointer + pointerOf([name])))
}

/** Whether they are too much together: whoever saves them reads them while its event loop stands still. */
const faultOfSize = (sources: readonly Source[]): Fault | null => {
  if (sources.length > limits.ofConfig) return tooMany('', sources.length, 'expressions', limits.ofConfig)
  const length = sources.reduce((sum, { source }) => sum + source.length, 0)
  if (length > limits.lengthOfConfig) return tooMany('', length, 'characters of expressions', limits.lengthOfConfig)
  let read = 0
  for (const { pointer, source } of sources) {
    read += readingOf(source, limits.reads).read
    if (read > limits.readsOfConfig) return tooMany(pointer, read, readAgain, limits.readsOfConfig)
  }
  return null
}

const tooMany = (pointer: string, count: number, what: string, most: number): Fault => {
  const counted = `${count.toLocaleString('en-US')} ${what}`
  return { pointer, message: `has ${counted}, and ${most.toLocaleString('en-US')} are allowed in one config` }
}

const readAgain = 'characters that are read up to here, those before "?:" and "??" more than once'

const faultsIn = (value: unknown, pointer: string): Fault[] => {
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
  if (isReference(value)) {
    const message = faultOfReference(value)
    return message === null ? [] : [{ pointer, message }]
  }
  return Object.entries(value).flatMap(([name, part]) => faultsIn(part, pointer + pointerOf([name])))
}

/** `pointer` is where the value stands in the config; `absent` is a member of it that gives nothing, undefined for none. */
const compileValue = (value: unknown, pointer: string, absent?: null): Node => {
  if (typeof value === 'string') return hasExpression(value) ? expressionAt(value, pointer) : constant(value)
  if (Array.isArray(value)) {
    const items = value.map((item, index) => compileValue(item, pointer + pointerOf([index])))
    // A list keeps its length: an item that gives nothing is null, so the parameters of a query do not shift.
    return (scope, secrets, signal) =>
      whenGiven(
        items.map((item) => item(scope, secrets, signal)),
        (values) => values.map((item) => item ?? null),
      )
  }
  if (typeof value === 'object' && value !== null) {
    if (isReference(value)) return secretAt(value, pointer)
    const fields = Object.entries(value).map(
      ([name, part]) => [name, compileValue(part, pointer + pointerOf([name]))] as const,
    )
    return evaluateFields(fields, absent)
  }
  return constant(value)
}

const expressionAt = (text: string, pointer: string): Node => {
  try {
    const { evaluate } = parseTemplate(text)
    const refuse = async (error: unknown): Promise<never> => {
      throw placed(error, pointer)
    }
    return (scope, _, signal) => {
      try {
        const value = evaluate(scope, signal)
        return value instanceof Promise ? value.catch(refuse) : value
      } catch (error) {
        return refuse(error)
      }
    }
  } catch (error) {
    throw placed(error, pointer)
  }
}

const secretAt = (reference: object, pointer: string): Node => {
  const fault = faultOfReference(reference)
  if (fault !== null) throw new WorkflowError('config_invalid', `${pointer}: ${fault}`)
  const name = nameIn(reference)
  return (_, secrets) => secrets(name).catch((error: unknown) => Promise.reject(placed(error, pointer)))
}

const placed = (error: unknown, pointer: string): unknown =>
  error instanceof WorkflowError
    ? new WorkflowError(error.code, `${pointer}: ${error.message}`, { cause: error.cause, final: error.final })
    : error

const constant =
  (value: unknown): Node =>
  () =>
    value

const evaluateFields =
  (fields: readonly (readonly [string, Node])[], absent?: null) =>
  (scope: Scope, secrets: Secrets, signal?: AbortSignal): Given<Record<string, unknown>> =>
    whenGiven(
      fields.map(([, node]) => node(scope, secrets, signal)),
      (values) =>
        Object.fromEntries(
          fields.flatMap(([name], index) => {
            const given = values[index] === undefined ? absent : values[index]
            return given === undefined ? [] : [[name, given] as const]
          }),
        ),
    )

type Given<T> = T | Promise<T>

/** What is made of values, at once unless one of them takes its time. */
const whenGiven = <T>(values: unknown[], make: (values: unknown[]) => T): Given<T> =>
  values.some((value) => value instanceof Promise) ? Promise.all(values).then(make) : make(values)
