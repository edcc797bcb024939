import { didYouMean } from '@esteira/service'
import jsonata from 'jsonata'
import { WorkflowError } from '../../errors.ts'
import { tooDeepText, unlessTooDeep } from '../../faults/too-deep.ts'
import { excerpt, mostShown, shownExpression } from '../excerpt.ts'
import { describeTypes } from '../paths.ts'
import { type Answer, type Asker, evaluateApart } from './apart.ts'
import { tooDeep } from './depth.ts'
import { describeEvaluating, describeReading, nestedTooDeeply, placeOf, tookItsTime } from './faults.ts'
import { limits } from './limits.ts'
import { whyNotJson } from './not-json.ts'
import { readingOf } from './reading.ts'
import { isSteady, pathsOf, rootsOf } from './syntax.ts'
import { refuseUnknownZones } from './time-zone.ts'
import { uncalled, unknownVariable } from './variables.ts'

/** What an expression looks at. */
type Scope = Readonly<Record<string, unknown>>

/**
 * Reads an expression that may look at `known`. One that is steady is evaluated in place, any other in a process apart:
 * JSONata is a language with loops and regular expressions, and no limit that it knows itself holds within one of its
 * own steps.
 *
 * @throws WorkflowError `expression_invalid` with the place of the fault, and `expression_failed` when it is evaluated,
 * with the types of the values that it read. Error when nothing is known of it, since its process is gone each time. The
 * asker's reason, when its signal is aborted while it waits for that process.
 */
export const compileJsonata = (
  source: string,
  known: readonly string[],
): ((scope: Scope, asker: Asker) => Promise<unknown>) => {
  refuseReading(source)
  const expression = read(source)
  const tree: unknown = expression.ast()
  refuseDepth(source, tree)
  refuseRoots(source, tree, known)
  refuseVariables(source, tree)
  const isInPlace = source.length <= limits.inPlaceLength && isSteady(tree)
  const evaluate = isInPlace ? inPlace(source, expression) : apart(source)
  const paths = pathsOf(tree)
  return async (scope, asker) => {
    const answer = await evaluate(scope, asker)
    if (answer.kind === 'value') return answer.value
    if (answer.kind === 'vanished') throw answer.error
    const [why, place] =
      answer.kind === 'ended' ? [answer.why] : [describeEvaluating(answer.fault), placeOf(answer.fault)]
    const shown = shownExpression(source, place)
    throw new WorkflowError('expression_failed', `${shown}: ${why}${describeTypes(scope, paths)}`)
  }
}

/** A fault that is told when an expression is read: what is wrong with it, and around which character. */
const invalid = (source: string, words: string, place?: number, cause?: unknown): WorkflowError =>
  new WorkflowError('expression_invalid', `${shownExpression(source, place)}: ${words}`, { cause })

/** Before the parser, whose time nothing else bounds. */
const refuseReading = (source: string): void => {
  const { place } = readingOf(source, limits.reads)
  if (place === null) return
  const words =
    `"?:" or "??" stands within what stands before another, again and again, so that more than ${limits.reads} ` +
    'characters are read: name the inner ones, as in ($a := payload.a ?: 1; $a ?: 2)'
  throw invalid(source, `${words}, at character ${place}`, place)
}

/**
 * What stands deeper fails when it is evaluated, unless a condition leaves it out. Only a filter counts for more here: it
 * stands within the path and the step that it is of.
 */
const refuseDepth = (source: string, tree: unknown): void => {
  const position = tooDeep(tree, limits.stack)
  if (position === undefined) return
  throw invalid(source, `${nestedTooDeeply}, more than ${limits.stack} levels, at character ${position}`, position)
}

/** Nothing would come of such a name, and nobody would hear of it. */
const refuseRoots = (source: string, tree: unknown, known: readonly string[]): void => {
  const unknown = rootsOf(tree).find(({ name }) => !known.includes(name))
  if (unknown === undefined) return
  const { name, position } = unknown
  const there = `there are ${known.join(', ')}`
  throw invalid(source, `${notKnown(name, position)}${didYouMean(name, known)} (${there})`, position)
}

/** Of a variable that is not there nothing would come either, and a function is no value that a config can hold. */
const refuseVariables = (source: string, tree: unknown): void => {
  const unknown = unknownVariable(tree)
  if (unknown !== undefined) {
    const { name, position, known } = unknown
    throw invalid(source, `${notKnown(`$${name}`, position)}${didYouMean(name, known)}`, position)
  }
  const left = uncalled(tree)
  if (left === undefined) return
  const { name, position } = left
  throw invalid(source, `it must give JSON, but gives a function: ${name}, at character ${position}`, position)
}

const notKnown = (name: string, position: number): string =>
  `"${excerpt(name, mostShown)}" is not known here, at character ${position}`

const read = (source: string): jsonata.Expression => {
  const { inPlaceMs: timeout, stack, sequence } = limits
  try {
    return jsonata(source, { timeout, stack, sequence })
  } catch (cause) {
    throw invalid(source, describeReading(cause), placeOf(cause), cause)
  }
}

type Evaluate = (scope: Scope, asker: Asker) => Promise<Answer>

const inPlace = (source: string, expression: jsonata.Expression): Evaluate => {
  refuseUnknownZones(expression)
  const elsewhere = apart(source)
  return async (scope, asker) => {
    try {
      const value: unknown = await expression.evaluate(scope)
      const unfit = whyNotJson(value)
      return unfit === undefined
        ? { kind: 'value', value }
        : { kind: 'fault', fault: { code: 'unfit', message: unfit } }
    } catch (fault) {
      // What it reads is large. Apart it holds up nobody.
      return tookItsTime(fault) ? elsewhere(scope, asker) : { kind: 'fault', fault }
    }
  }
}

const apart =
  (source: string): Evaluate =>
  async (scope, asker) => {
    const text = unlessTooDeep(
      () => textOf(scope),
      () => null,
    )
    if (text !== null) return evaluateApart({ source, scope: text }, asker)
    return { kind: 'fault', fault: { code: 'deep', message: `the payload ${tooDeepText(scope.payload)}` } }
  }

/** A config may hold many expressions over one scope. */
const texts = new WeakMap<Scope, string>()

const textOf = (scope: Scope): string => {
  const text = texts.get(scope) ?? JSON.stringify(scope)
  texts.set(scope, text)
  return text
}
