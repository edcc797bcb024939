import jsonata from 'jsonata'
import * as z from 'zod'
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
    throw new WorkflowError('expression_invalid', `"{{${source}}}": ${describeFault(cause, allWords)}`, { cause })
  }
  return async (scope) => {
    try {
      return await expression.evaluate(scope)
    } catch (cause) {
      throw new WorkflowError('expression_failed', `"{{${source}}}": ${describeFault(cause, wordsWithoutValue)}`, {
        cause,
      })
    }
  }
}

/** What JSONata throws: plain objects, often with the value that was at fault. */
const jsonataFault = z.looseObject({ code: z.string(), message: z.string(), position: z.number().optional() })
type JsonataFault = z.infer<typeof jsonataFault>

const describeFault = (cause: unknown, wordsOf: (fault: JsonataFault) => string): string => {
  const fault = jsonataFault.safeParse(cause).data
  if (fault === undefined) return 'it cannot be evaluated'
  return fault.position === undefined ? wordsOf(fault) : `${wordsOf(fault)}, at character ${fault.position}`
}

/** Before anything is evaluated, a value at fault is one of the text itself. */
const allWords = ({ message }: JsonataFault): string => message

/** A value at fault may be of the payload, which no message shows but that of `$error`, where the author wrote it. */
const wordsWithoutValue = (fault: JsonataFault): string => {
  const { code, message } = fault
  if (!('value' in fault)) return message
  const before = endsInValue.test(code) ? message.replace(/[:;].*$/s, '') : undefined
  return ownWords[code] ?? before ?? `a value does not fit (JSONata ${code})`
}

/** Faults whose message has the value after a colon, or not at all, or whose value is a limit of ours. */
const endsInValue = /^(T|D10|D3030|D3060|D3120|D3121|D3140)/

/** In place of messages that have the value in the middle. */
const ownWords: Record<string, string> = {
  T2007: 'The values that are sorted by must be of the same data type',
  T2009: 'The values on the two sides of a comparison must be of the same data type',
  D2015: `A sequence may have ${limits.sequence} items`,
  D3110: 'The argument of the toMillis function must be an ISO 8601 formatted timestamp',
}
