/** What is looked at of JSONata's syntax tree; its own type says little of what it holds. */
export type Node = { type: string; value?: unknown }

export const isNode = (part: unknown): part is Node =>
  typeof part === 'object' && part !== null && 'type' in part && typeof part.type === 'string'
