import { isNode } from './node.ts'

/**
 * At which character the forms of an expression come to stand within more than `most` others, if they do. It calls itself
 * nowhere: what else looks through a syntax tree does, and a deep one leaves that no stack.
 */
export const tooDeep = (tree: unknown, most: number): number | undefined => {
  const ahead = [{ part: tree, depth: 0, position: 0 }]
  for (const { part, depth, position } of ahead) {
    if (typeof part !== 'object' || part === null) continue
    const own: unknown = Reflect.get(part, 'position')
    const within = { depth: isNode(part) ? depth + 1 : depth, position: typeof own === 'number' ? own : position }
    if (within.depth > most) return within.position
    for (const next of Object.values(part)) ahead.push({ part: next, ...within })
  }
  return undefined
}
