import { isNode, type Node } from './node.ts'

/** The functions that JSONata has, by the names of their variables. */
export const functionNames: readonly string[] = (
  'abs append assert average base64decode base64encode boolean ceil clone contains count decodeUrl decodeUrlComponent ' +
  'distinct each encodeUrl encodeUrlComponent error eval exists filter floor formatBase formatInteger formatNumber ' +
  'fromMillis join keys length lookup lowercase map match max merge millis min not now number pad parseInteger power ' +
  'random reduce replace reverse round shuffle sift single sort split spread sqrt string substring substringAfter ' +
  'substringBefore sum toMillis trim type uppercase zip'
).split(' ')

const builtIn: ReadonlySet<string> = new Set(functionNames)

/** A variable of an expression, without its `$`, or a form such as `function`; and at which character it ends. */
export type Found = { name: string; position: number }

/** The first variable that nothing gives a value: it is no function of JSONata, and the expression does not name it. */
export const unknownVariable = (tree: unknown): (Found & { known: string[] }) | undefined => {
  const nodes = nodesOf(tree)
  // What a text names that is evaluated later is not seen.
  if (nodes.some((node) => isVariable(node) && node.value === 'eval')) return undefined
  const named = new Set(nodes.flatMap(namesOf))
  const unknown = nodes.find((node) => isVariable(node) && !isGiven(String(node.value), named))
  if (unknown === undefined) return undefined
  return { ...found(String(unknown.value), unknown), known: [...named, ...functionNames] }
}

/** Where an expression gives a function whatever it reads, as `$sum` does that is not called. */
export const uncalled = (tree: unknown): Found | undefined => {
  const named = new Set(nodesOf(tree).flatMap(namesOf))
  const look = (part: unknown): Found | undefined => {
    if (Array.isArray(part)) return first(part, look)
    if (!isNode(part)) return undefined
    if (isVariable(part)) {
      const name = String(part.value)
      return builtIn.has(name) && !named.has(name) ? found(`$${name}`, part) : undefined
    }
    const form = functionForms[part.type]
    if (form !== undefined) return found(form, part)
    return first(resultsOf(part), look)
  }
  return look(tree)
}

/** `$` and `$$` are what the expression looks at. */
const isGiven = (name: string, named: ReadonlySet<string>): boolean =>
  name === '' || name === '$' || named.has(name) || builtIn.has(name)

const isVariable = (node: Node): boolean => node.type === 'variable'

const functionForms: Record<string, string> = {
  lambda: 'function',
  partial: 'a call with "?"',
  regex: 'a regular expression',
  transform: 'a transform',
}

/** The parts whose values are, or are within, the value of a form. */
const resultsOf = (node: Node): unknown[] => {
  const part = (name: string): unknown => Reflect.get(node, name)
  switch (node.type) {
    case 'block':
      return [part('expressions')].flat().slice(-1)
    case 'condition':
      return [part('then'), part('else')]
    case 'bind':
      return [part('rhs')]
    case 'unary':
      if (node.value === '[') return [part('expressions')]
      return node.value === '{' ? [part('lhs')].flat().map((pair) => (Array.isArray(pair) ? pair[1] : undefined)) : []
    default:
      return []
  }
}

/** The names that a form gives: `$x := 1`, `function($x)`, `@$x`, `#$x`. */
const namesOf = (node: Node): string[] => {
  const part = (name: string): unknown => Reflect.get(node, name)
  const variables = node.type === 'lambda' ? [part('arguments')].flat() : node.type === 'bind' ? [part('lhs')] : []
  const names = variables.filter(isNode).map(({ value }) => String(value))
  return [...names, ...[part('focus'), part('index')].filter((name) => typeof name === 'string')]
}

const found = (name: string, node: Node): Found => {
  const position: unknown = Reflect.get(node, 'position')
  return { name, position: typeof position === 'number' ? position : 0 }
}

const first = <T>(parts: readonly unknown[], look: (part: unknown) => T | undefined): T | undefined => {
  for (const part of parts) {
    const seen = look(part)
    if (seen !== undefined) return seen
  }
  return undefined
}

const nodesOf = (tree: unknown): Node[] => {
  if (typeof tree !== 'object' || tree === null) return []
  const within = Object.values(tree).flatMap(nodesOf)
  return isNode(tree) ? [tree, ...within] : within
}
