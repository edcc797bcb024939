import jsonata from 'jsonata'
import { WorkflowError } from '../errors.ts'

/** What an expression may look at. */
export type Scope = { payload: unknown; run: { id: string; workflowId: string }; step: { id: string; name: string } }

/** A text that may hold expressions, ready to be evaluated. */
export type Template = { evaluate: (scope: Scope) => Promise<unknown> }

const wholeText = /^\s*\{\{([\s\S]+)\}\}\s*$/
const embedded = /\{\{([\s\S]*?)\}\}/g
const plainPath = /^\s*((?:payload|run|step)(?:\.[\p{L}_][\p{L}\p{N}_]*)*)\s*$/u

/** Whether a text holds an expression at all; most texts do not, and cost nothing. */
export const hasExpression = (text: string): boolean => text.includes('{{')

/**
 * Reads a text with expressions in `{{ }}`: plain paths such as `payload.items.id`, and JSONata for everything else. An expression that is the whole text keeps the type of its result; one inside a
 * longer text becomes part of the text.
 *
 * @throws WorkflowError `expression_invalid` with the place of the fault.
 */
export const parseTemplate = (text: string): Template => {
  const whole = wholeText.exec(text)?.[1]
  if (whole !== undefined && !/\}\}[\s\S]*\{\{/.test(whole)) return { evaluate: compile(whole) }
  const parts: ((scope: Scope) => Promise<unknown>)[] = []
  let end = 0
  for (const match of text.matchAll(embedded)) {
    const before = text.slice(end, match.index)
    parts.push(async () => before, asText(match[1] ?? ''))
    end = match.index + match[0].length
  }
  const rest = text.slice(end)
  if (rest.includes('{{')) {
    throw new WorkflowError('expression_invalid', `"{{" at character ${end + rest.indexOf('{{')} has no "}}"`)
  }
  return {
    evaluate: async (scope) => {
      const texts: unknown[] = []
      for (const part of parts) texts.push(await part(scope))
      return texts.join('') + rest
    },
  }
}

const asText = (source: string) => {
  const evaluate = compile(source)
  return async (scope: Scope): Promise<string> => {
    const value = await evaluate(scope)
    if (value === undefined || value === null) {
      throw new WorkflowError('expression_failed', `"{{${source}}}" inside a text gave nothing`)
    }
    return typeof value === 'string' ? value : JSON.stringify(value)
  }
}

const compile = (source: string): ((scope: Scope) => Promise<unknown>) => {
  const path = plainPath.exec(source)?.[1]?.split('.')
  return path === undefined ? compileJsonata(source) : async (scope) => follow(scope, path)
}

/**
 * JSONata would give a list of one item as that item, and an empty one as nothing, so what a step gets would hang on how
 * many came. Here a path goes on through every item of a list, and gives as many: null for one that it leads nowhere in.
 */
const follow = (value: unknown, path: readonly string[]): unknown => {
  const [name, ...rest] = path
  if (name === undefined) return value
  if (Array.isArray(value)) return value.map((item) => follow(item, path) ?? null)
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return follow(Reflect.get(value, name), rest)
}

/**
 * JSONata is a language with functions that may call themselves. It runs on the worker's own event loop, so one without
 * an end would hold up every job: milliseconds, calls within calls, and items of a range.
 */
const limits = { timeout: 3_000, stack: 500, sequence: 1_000_000 }

const compileJsonata = (source: string): ((scope: Scope) => Promise<unknown>) => {
  let expression: jsonata.Expression
  try {
    expression = jsonata(source, limits)
  } catch (cause) {
    throw new WorkflowError('expression_invalid', `"{{${source}}}": ${describeFault(cause)}`, { cause })
  }
  return async (scope) => {
    try {
      return await expression.evaluate(scope)
    } catch (cause) {
      throw new WorkflowError('expression_failed', `"{{${source}}}": ${describeFault(cause)}`, { cause })
    }
  }
}

/**
 * JSONata throws plain objects: a code, a message and the place. A message quotes the value that the error carries, if it
 * carries one, and a value may be of the payload; that of a timeout is the time.
 */
const describeFault = (cause: unknown): string => {
  if (typeof cause !== 'object' || cause === null || !('code' in cause)) return 'it cannot be evaluated'
  const code = String(cause.code)
  const isSafe = !('value' in cause) || code === 'D1012'
  const words = isSafe && 'message' in cause ? String(cause.message) : (withoutValue[code] ?? `JSONata ${code}`)
  return 'position' in cause ? `${words}, at character ${String(cause.position)}` : words
}

/** What goes wrong most often with a payload that is not as expected. */
const withoutValue: Record<string, string> = {
  T2001: 'the left side of the operator is not a number',
  T2002: 'the right side of the operator is not a number',
  T2010: 'the sides of the comparison are neither both numbers nor both strings',
  T0410: 'an argument is not of the type that the function takes',
  T0412: 'an argument is not an array of the type that the function takes',
  T1006: 'what is called is not a function',
}
