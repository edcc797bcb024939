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
  const { isWhole, parts, rest, unclosed } = cut(text)
  if (unclosed !== null) throw new WorkflowError('expression_invalid', `"{{" at character ${unclosed} has no "}}"`)
  const [first] = parts
  if (isWhole && first !== undefined) return { evaluate: compile(first.source) }
  const texts = parts.map(({ before, source }) => ({ before, evaluate: asText(source) }))
  return {
    evaluate: async (scope, signal) => {
      let all = ''
      for (const { before, evaluate } of texts) all += before + (await evaluate(scope, signal))
      return all + rest
    },
  }
}

/** The expressions of a text, as they stand between their braces; one that is not closed has all behind it. */
export const expressionsIn = (text: string): string[] => {
  const { parts, unclosed } = cut(text)
  const sources = parts.map(({ source }) => source)
  return unclosed === null ? sources : [...sources, text.slice(unclosed + 2)]
}

type Cut = {
  /** Whether there is one expression and nothing around it but space: then it may have `}}` within. */
  isWhole: boolean
  parts: { before: string; source: string }[]
  rest: string
  /** Where the first `{{` is that has no `}}`, or null. */
  unclosed: number | null
}

const cut = (text: string): Cut => {
  const whole = wholeText.exec(text)?.[1]
  if (whole !== undefined && !isSeveral(whole)) {
    return { isWhole: true, parts: [{ before: '', source: whole }], rest: '', unclosed: null }
  }
  const parts: Cut['parts'] = []
  let end = 0
  for (let open = text.indexOf('{{'); open !== -1; open = text.indexOf('{{', end)) {
    const close = text.indexOf('}}', open + 2)
    if (close === -1) return { isWhole: false, parts, rest: '', unclosed: open }
    parts.push({ before: text.slice(end, open), source: text.slice(open + 2, close) })
    end = close + 2
  }
  return { isWhole: false, parts, rest: text.slice(end), unclosed: null }
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
