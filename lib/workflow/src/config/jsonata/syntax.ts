import { isNode, type Node } from './node.ts'

/** The members of a node, without those that every token of JSONata's parser inherits. */
const membersOf = (node: Node): [string, unknown][] =>
  Object.entries(node).filter(([name, part]) => part !== undefined && !anyForm.has(name))

const anyForm = new Set(['type', 'value', 'position'])

/** Functions whose time is in proportion to what they are given. */
const steadyFunctions = new Set(
  (
    'abs average boolean ceil contains count exists floor length lowercase max millis min not now number round string ' +
    'substring substringAfter substringBefore sum trim uppercase'
  ).split(' '),
)

/**
 * Whether an expression is steady: its time and memory are in proportion to its own length times what it reads. It has
 * paths of names, values, operators and some functions; no regular expression, no filter, no range, nothing that calls
 * itself or repeats. Whatever is not known to be so is not.
 */
export const isSteady = (tree: unknown): boolean => {
  const form = isNode(tree) ? forms[tree.type] : undefined
  if (!isNode(tree) || form === undefined) return false
  const operators = steadyOperators[tree.type]
  if (operators !== undefined && !operators.includes(String(tree.value))) return false
  // A member that the form does not know is a filter, a sort, a name for later, or comes with a JSONata to come.
  return membersOf(tree).every(([name, part]) => form[name]?.(part) ?? false)
}

const steadyOperators: Record<string, readonly string[]> = {
  binary: ['+', '-', '*', '/', '%', '=', '!=', '<', '<=', '>', '>=', '&', 'and', 'or', 'in'],
  unary: ['-', '[', '{'],
}

type Check = (part: unknown) => boolean

const all =
  (isRight: Check): Check =>
  (parts) =>
    Array.isArray(parts) && parts.every(isRight)

/** The sides of an operator, or the pairs of an object. */
const isSides: Check = (part) => (Array.isArray(part) ? part.every(all(isSteady)) : isSteady(part))

const isName: Check = (part) =>
  isNode(part) && part.type === 'name' && membersOf(part).every(([name]) => name === 'keepArray')

const isSteadyFunction: Check = (part) =>
  isNode(part) && part.type === 'variable' && steadyFunctions.has(String(part.value))

/** The forms that may be steady, and what must hold for their members. */
const forms: Record<string, Record<string, Check>> = {
  string: {},
  number: {},
  value: {},
  path: { steps: all(isName), keepSingletonArray: () => true },
  binary: { lhs: isSides, rhs: isSteady },
  unary: { lhs: isSides, expression: isSteady, expressions: all(isSteady), consarray: () => true },
  condition: Object.fromEntries(['condition', 'then', 'else'].map((name) => [name, isSteady])),
  function: { procedure: isSteadyFunction, arguments: all(isSteady) },
  block: { expressions: all(isSteady) },
}

/** The paths that an expression reads, as far as they are plain names, without those within a filter or a step. */
export const pathsOf = (tree: unknown): string[][] => {
  if (Array.isArray(tree)) return tree.flatMap(pathsOf)
  if (typeof tree !== 'object' || tree === null) return []
  const steps = Reflect.get(tree, 'type') === 'path' ? Reflect.get(tree, 'steps') : undefined
  if (!Array.isArray(steps)) return Object.values(tree).flatMap(pathsOf)
  const names = steps.map(nameOf)
  const end = names.indexOf(undefined)
  const path = names.slice(0, end === -1 ? undefined : end).filter((name) => name !== undefined)
  return path.length > 0 ? [path] : pathsOf(steps[0])
}

/** A name that an expression begins with: it is looked for in what all of the expression looks at. */
export type Root = { name: string; position: number }

/**
 * The names that an expression begins its paths with. Those of a filter, a sort, a group or a later step are looked for in
 * an item instead, which may have any.
 */
export const rootsOf = (tree: unknown): Root[] => {
  if (Array.isArray(tree)) return tree.flatMap(rootsOf)
  if (!isNode(tree)) return []
  const first = tree.type === 'path' ? stepsOf(tree)[0] : undefined
  if (first === undefined) return (partsAtRoot[tree.type] ?? []).flatMap((name) => rootsOf(Reflect.get(tree, name)))
  const name = nameOf(first)
  if (name === undefined) return rootsOf(first)
  const position: unknown = Reflect.get(Object(first), 'position')
  return [{ name, position: typeof position === 'number' ? position : 0 }]
}

const stepsOf = (path: Node): unknown[] => {
  const steps: unknown = Reflect.get(path, 'steps')
  return Array.isArray(steps) ? steps : []
}

/** The parts of each form that look at the same as the form itself; a function's body looks where the function stands. */
const partsAtRoot: Record<string, readonly string[]> = {
  binary: ['lhs', 'rhs'],
  unary: ['lhs', 'expression', 'expressions'],
  condition: ['condition', 'then', 'else'],
  function: ['procedure', 'arguments'],
  partial: ['procedure', 'arguments'],
  lambda: ['body'],
  block: ['expressions'],
  bind: ['rhs'],
  apply: ['lhs', 'rhs'],
}

const nameOf = (step: unknown): string | undefined =>
  isNode(step) && step.type === 'name' ? String(step.value) : undefined
