import { WorkflowError } from '../errors.ts'
import { tooDeepText, unlessTooDeep } from '../faults/too-deep.ts'
import { shownExpression } from './excerpt.ts'
import { compileJsonata } from './jsonata/compile.ts'
import { limits } from './jsonata/limits.ts'
import { follow } from './paths.ts'

/** What an expression may look at. */
export type Scope = { payload: unknown; run: { id: string; workflowId: string }; step: { id: string; name: string } }

/**
 * A text that may hold expressions, ready to be evaluated: to its value, or to a promise of it where that takes its time.
 * `signal` is aborted when nobody wants it any more.
 */
export type Template = { evaluate: (scope: Scope, signal?: AbortSignal) => unknown }

/** By these names it looks at them. */
const roots: Record<keyof Scope, true> = { payload: true, run: true, step: true }

const wholeText = /^\s*\{\{([\s\S]+)\}\}\s*$/
const plainPath = /^\s*((?:payload|run|step)(?:\.[\p{L}_][\p{L}\p{N}_]*)*)\s*$/u

/** Whether a text holds an expression at all; most texts do not, and cost nothing. */
export const hasExpression = (text: string): boolean => text.includes('{{')

/**
 * Reads a text with expressions in `{{ }}`: plain paths such as `payload.items.id`, and JSONata for everything else. An
 * expression that is the whole text keeps the type of its result; one inside a longer text becomes part of the text.
 *
 * @throws WorkflowError `expression_invalid` with the place of the fault.
 */
export const parseTemplate = (text: string): Template => {
  const whole = wholeText.exec(text)?.[1]
  if (whole !== undefined && !isSeveral(whole)) return { evaluate: compile(whole) }
  const parts: ((scope: Scope, signal?: AbortSignal) => Promise<unknown>)[] = []
  let end = 0
  for (let open = text.indexOf('{{'); open !== -1; open = text.indexOf('{{', end)) {
    const close = text.indexOf('}}', open + 2)
    if (close === -1) throw new WorkflowError('expression_invalid', `"{{" at character ${open} has no "}}"`)
    const before = text.slice(end, open)
    parts.push(async () => before, asText(text.slice(open + 2, close)))
    end = close + 2
  }
  const rest = text.slice(end)
  return {
    evaluate: async (scope, signal) => {
      const texts: unknown[] = []
      for (const part of parts) texts.push(await part(scope, signal))
      return texts.join('') + rest
    },
  }
}

/** How many expressions stand in a text, about, and how many characters they have, without being read. */
export const sizeOfExpressions = (text: string): { count: number; length: number } => {
  const size = { count: 0, length: 0 }
  for (let open = text.indexOf('{{'); open !== -1;) {
    const close = text.indexOf('}}', open + 2)
    const end = close === -1 ? text.length : close + 2
    size.count += 1
    size.length += end - open
    open = text.indexOf('{{', end)
  }
  return size
}

/** Whether what stands between the first `{{` of a text and its last `}}` is more than one expression. */
const isSeveral = (whole: string): boolean => {
  const close = whole.indexOf('}}')
  return close !== -1 && whole.includes('{{', close + 2)
}

const asText = (source: string) => {
  const evaluate = compile(source)
  return async (scope: Scope, signal?: AbortSignal): Promise<string> => {
    const value = await evaluate(scope, signal)
    if (value === undefined || value === null) {
      throw new WorkflowError('expression_failed', `${shownExpression(source)} inside a text gave nothing`)
    }
    if (typeof value === 'string') return value
    return unlessTooDeep(
      () => JSON.stringify(value),
      () => refuseDepth(source, 'what it gives', value),
    )
  }
}

const compile = (source: string): Template['evaluate'] => {
  if (source.length > limits.length) throw tooLong(source)
  const path = plainPath.exec(source)?.[1]?.split('.')
  if (path !== undefined) {
    return (scope) =>
      unlessTooDeep(
        () => follow(scope, path),
        () => refuseDepth(source, 'the payload', scope.payload),
      )
  }
  const evaluate = compileJsonata(source, Object.keys(roots))
  return (scope, signal) => evaluate(scope, { line: scope.step.id, signal })
}

const refuseDepth = (source: string, what: string, value: unknown): never => {
  throw new WorkflowError('expression_failed', `${shownExpression(source)}: ${what} ${tooDeepText(value)}`)
}

const tooLong = (source: string): WorkflowError => {
  const words = `it has ${source.length} characters, and ${limits.length} are allowed`
  return new WorkflowError('expression_invalid', `${shownExpression(source)}: ${words}, at character ${limits.length}`)
}
